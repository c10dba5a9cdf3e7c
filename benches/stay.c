/* The init of the benchmark of many containers: ready at once (sd_notify(3)),
 * running until SIGRTMIN+3, systemd's signal to halt. Linked statically, because
 * its root has only the store. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void halt(int signal)
{
	(void)signal;
	_exit(0);
}

int main(void)
{
	struct sockaddr_un manager = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int out = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (!path || out < 0)
		return 1;
	/* A handler: process 1 is not ended by a signal's default action. */
	signal(SIGRTMIN + 3, halt);
	strncpy(manager.sun_path, path, sizeof(manager.sun_path) - 1);
	if (sendto(out, "READY=1", 7, 0, (struct sockaddr *)&manager, sizeof(manager)) < 0)
		return 1;
	for (;;)
		pause();
}
