/* Loaded into a process, this makes its machine's clock show another time: by as many seconds as the file named by JUMP_FILE
   says, 8 bytes, which may change at any moment. The monotonic clock stays as it is, as when somebody sets the clock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *jump;

__attribute__((constructor)) static void look(void) {
  const char *path = getenv("JUMP_FILE");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) return;
  void *bytes = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
  if (bytes != MAP_FAILED) jump = bytes;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int failed = syscall(SYS_clock_gettime, clock, time);
  if (!failed && jump && clock == CLOCK_REALTIME) time->tv_sec += *jump;
  return failed;
}
