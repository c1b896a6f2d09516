/* ioctl(2) for Python, with the error in the result: errno would not survive the way there. */
#include <errno.h>
#include <sys/ioctl.h>

#include "shim.h"

/* Returns what the ioctl returns, or -errno.  EINTR and EAGAIN are the caller's to handle. */
int shim_ioctl(int fd, unsigned long request, void *argument)
{
	int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

/* As shim_ioctl(), for requests whose argument is a number. */
int shim_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int result = ioctl(fd, request, value);

	return result < 0 ? -errno : result;
}
