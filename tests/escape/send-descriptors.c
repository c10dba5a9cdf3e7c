/* Sends descriptors to a Unix socket, each of a TCP socket with unsent data and
 * SO_LINGER: the close() of its last copy waits for an hour (man 7 socket).
 *
 *   send-descriptors PATH seqpacket|dgram COUNT
 *
 * Prints "sending" after the first, and "sent N, refused M" after the last, and
 * stays: with it would go what keeps the data unsent. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SENT, REFUSED, GONE, FAILED };

static int check(int answer, const char *what)
{
	if (answer < 0) {
		perror(what);
		exit(1);
	}
	return answer;
}

static struct sockaddr_in address = { .sin_family = AF_INET };
static int small = 4096;

/* Never accepts, so that nothing reads what is sent to it. */
static void listen_without_reading(void)
{
	socklen_t length = sizeof address;
	int listener = check(socket(AF_INET, SOCK_STREAM, 0), "socket");

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), "SO_RCVBUF");
	check(bind(listener, (void *)&address, sizeof address), "bind");
	check(listen(listener, 4096), "listen");
	check(getsockname(listener, (void *)&address, &length), "getsockname");
}

static int lingering(void)
{
	static char data[65536];
	struct linger hour = { .l_onoff = 1, .l_linger = 3600 };
	int tcp = check(socket(AF_INET, SOCK_STREAM, 0), "socket");

	check(setsockopt(tcp, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), "SO_SNDBUF");
	check(connect(tcp, (void *)&address, sizeof address), "connect");
	while (send(tcp, data, sizeof data, MSG_DONTWAIT) > 0)
		;
	check(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &hour, sizeof hour), "SO_LINGER");
	return tcp;
}

static int send_with(int socket, int descriptor)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	} };
	struct iovec text = { .iov_base = "READY=1", .iov_len = 7 };
	struct msghdr message = {
		.msg_iov = &text, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};

	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static struct sockaddr_un path = { .sun_family = AF_UNIX };
static int kind;

/* One attempt, in a process of its own: its exit closes without waiting what the
 * receiver has closed already. Returns the exit status. */
static int attempt(int turn)
{
	int tcp = lingering();
	int unix_socket = check(socket(AF_UNIX, kind, 0), "socket");

	/* The container stops one day. */
	if (connect(unix_socket, (void *)&path, sizeof path) < 0)
		return GONE;
	/* What comes before keeps the receiver busy, or has it close the connection. */
	if (kind == SOCK_DGRAM)
		for (int i = 0; i < 8; i++)
			send(unix_socket, "X=1", 3, MSG_DONTWAIT);
	else if (turn % 3 == 1)
		send(unix_socket, "", 0, MSG_NOSIGNAL);
	else if (turn % 3 == 2)
		send(unix_socket, "\"login\"", 7, MSG_NOSIGNAL);
	if (send_with(unix_socket, tcp) == 0)
		return SENT;
	return errno == EPERM ? REFUSED : FAILED;
}

int main(int count, char **words)
{
	int turns = atoi(words[3]), results[4] = { 0 };

	(void)count;
	kind = !strcmp(words[2], "dgram") ? SOCK_DGRAM : SOCK_SEQPACKET;
	strncpy(path.sun_path, words[1], sizeof path.sun_path - 1);
	listen_without_reading();
	for (int turn = 0; turn < turns && !results[GONE]; turn++) {
		int status;
		pid_t child = check(fork(), "fork");

		if (child == 0)
			_exit(attempt(turn));
		check(waitpid(child, &status, 0), "waitpid");
		results[WEXITSTATUS(status) % 4]++;
		if (turn == 0) {
			puts("sending");
			fflush(stdout);
		}
	}
	printf("sent %d, refused %d\n", results[SENT], results[REFUSED]);
	fflush(stdout);
	pause();
	return 0;
}
