/*
 * Getting a vCPU out of the guest: from another thread (a kick), or when time is up (a timer).
 *
 * Both send one signal to the thread that is in KVM_RUN.  Its handler sets immediate_exit, so that
 * a signal which comes just before KVM_RUN is not lost: KVM then returns at once with EINTR (KVM
 * API document, section 5, "immediate_exit").  Only that thread touches the run page: whoever kicks
 * from elsewhere cannot know that it is still mapped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define SECOND 1000000000u

static __thread struct shim_vcpu *current;     /* the vCPU that this thread is running */
static __thread volatile sig_atomic_t pending; /* a kick came while it was running none */

/* Asked of the kernel once a thread: on its way to a device in Python an exit would feel it. */
static __thread uint32_t own_id;

static uint32_t thread_id(void)
{
	if (!own_id)
		own_id = (uint32_t)syscall(SYS_gettid);
	return own_id;
}

/* In a child process its only thread has another one. */
static void forget_id(void)
{
	own_id = 0;
}

static void on_kick(int signal)
{
	(void)signal;
	if (current)
		__atomic_store_n(&current->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	else
		pending = 1;
}

/* The signal used: a real-time one, away from the lowest, which other libraries like to take. */
int shim_kick_signal(void)
{
	return SIGRTMIN + 7;
}

/*
 * Without SA_RESTART: a signal of the process that comes just before a device's write(2) hangs must
 * not wait for that to end.  The timer interrupts the write, and Python, before it goes on with
 * it, runs its signal handlers.
 */
static int install_handler(void)
{
	struct sigaction action = {.sa_handler = on_kick};

	return sigaction(shim_kick_signal(), &action, NULL) ? -errno : 0;
}

/* Returns 0, or -EBUSY where another thread is running the vCPU. */
int shim_enter_thread(struct shim_vcpu *vcpu)
{
	uint32_t nobody = 0;

	if (!__atomic_compare_exchange_n(&vcpu->thread, &nobody, thread_id(), 0, __ATOMIC_SEQ_CST,
	                                 __ATOMIC_SEQ_CST))
		return -EBUSY;
	current = vcpu;
	/* a kick that did not see this thread is seen here: each side stores first, then looks */
	if (pending || __atomic_load_n(&vcpu->kicked, __ATOMIC_SEQ_CST)) {
		pending = 0;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

void shim_leave_thread(struct shim_vcpu *vcpu)
{
	current = NULL;
	__atomic_store_n(&vcpu->thread, 0, __ATOMIC_SEQ_CST);
}

/* Makes shim_run() return SHIM_INTERRUPTED soon: the one under way, or else the next one. */
void shim_kick(struct shim_vcpu *vcpu)
{
	uint32_t thread;

	__atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
	thread = __atomic_load_n(&vcpu->thread, __ATOMIC_SEQ_CST);
	if (thread)
		syscall(SYS_tgkill, getpid(), thread, shim_kick_signal());
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

static void delete_timer(struct shim_vcpu *vcpu)
{
	if (vcpu->timer_thread)
		timer_delete((timer_t)vcpu->timer);
	vcpu->timer_thread = 0;
}

/* A POSIX timer can signal one thread: each vCPU has one, made anew when it changes threads. */
static int create_timer(struct shim_vcpu *vcpu)
{
	struct sigevent event;
	uint32_t thread = thread_id();
	timer_t timer;

	if (vcpu->timer_thread == thread)
		return 0;
	delete_timer(vcpu);
	/* libc may allocate a thread's `pending` at its first use, which the handler must not be */
	(void)pending;
	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = shim_kick_signal();
	event._sigev_un._tid = (pid_t)thread;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return -errno;
	vcpu->timer = (void *)timer;
	vcpu->timer_thread = thread;
	return 0;
}

/*
 * Kicks the vCPU when CLOCK_MONOTONIC reaches `first` ns, then every `interval` ns, as long as the
 * calling thread is the one that runs it; first = 0 ends that.  Returns 0 or -errno.
 */
int shim_set_timer(struct shim_vcpu *vcpu, uint64_t first, uint64_t interval)
{
	struct itimerspec when = {.it_value = to_timespec(first),
	                          .it_interval = to_timespec(interval)};
	int error;

	if (!first) {
		delete_timer(vcpu);
		return 0;
	}
	error = create_timer(vcpu);
	if (error)
		return error;
	return timer_settime((timer_t)vcpu->timer, TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

/* Readies the process for kicks.  Returns 0 or -errno. */
int shim_init(void)
{
	int error = pthread_atfork(NULL, NULL, forget_id);

	return error ? -error : install_handler();
}
