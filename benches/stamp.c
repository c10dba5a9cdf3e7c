/* The init of the benchmark: prints when it was executed, in nanoseconds of the
 * monotonic clock, which is the same in all namespaces here. Linked statically,
 * because its root has only the store. */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return 1;
	printf("%lld%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	return 0;
}
