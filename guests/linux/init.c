/*
 * The first and only process of the Linux that the tests boot: tells how many processors there
 * are, gives back a line that is typed, and turns the machine off.  No C library: a static one is
 * not everywhere, and this is all that would be used of it.
 */
#include <linux/reboot.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	return result;
}

static void say(const char *text)
{
	long length = 0;

	while (text[length])
		length++;
	call(SYS_write, 1, (long)text, length, 0);
}

static int processors(void)
{
	unsigned char set[128] = {0};
	int count = 0;

	call(SYS_sched_getaffinity, 0, sizeof(set), (long)set, 0);
	for (unsigned int bit = 0; bit < 8 * sizeof(set); bit++)
		count += set[bit / 8] >> bit % 8 & 1;
	return count;
}

void _start(void)
{
	char number[2] = {(char)('0' + processors()), 0}, line[100];
	long length;

	say("init: up with ");
	say(number);
	say(" processors\ninit: type a line\n");
	length = call(SYS_read, 0, (long)line, sizeof(line) - 1, 0);
	line[length > 0 ? length : 0] = 0;
	say("init: you typed ");
	say(line);
	call(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
}
