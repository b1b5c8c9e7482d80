// Loaded into a server by LD_PRELOAD for test/t/051_faults.pl: makes the n-th allocation of a backend fail, and every
// write that would make a file grow while a file says that the disk is full. Of the server nothing is used, as other
// programs load it too.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/// The function that this one stands before.
template <typename Function>
static Function *real(const char *name, Function *) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

extern "C" {
// The C library's own, under names that nobody overrides.
void *__libc_malloc(size_t);          // NOLINT(bugprone-reserved-identifier)
void *__libc_realloc(void *, size_t); // NOLINT(bugprone-reserved-identifier)
void *__libc_calloc(size_t, size_t);  // NOLINT(bugprone-reserved-identifier)

/// Positive: so many allocations until one fails. Negative: counts down from -1.
__attribute__((visibility("default"))) long test_preload_allocations = 0;

static bool refused() {
  if (test_preload_allocations == 0)
    return false;
  if (--test_preload_allocations != 0)
    return false;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size) {
  return refused() ? nullptr : __libc_malloc(size);
}
void *realloc(void *memory, size_t size) {
  return refused() ? nullptr : __libc_realloc(memory, size);
}
void *calloc(size_t count, size_t size) {
  return refused() ? nullptr : __libc_calloc(count, size);
}

/// Is the disk full for this file? $TEST_FULL_DISK names a file that holds the part of a path: the files that cannot
/// grow.
static bool full(int fd, off_t end) {
  const char *const flag = getenv("TEST_FULL_DISK");
  if (flag == nullptr)
    return false;
  FILE *const file = fopen(flag, "r");
  if (file == nullptr)
    return false;
  char part[64] = "";
  size_t const length = fread(part, 1, sizeof part - 1, file);
  fclose(file);
  char link[64];
  char path[1024] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  struct stat status {};
  if (length == 0 || readlink(link, path, sizeof path - 1) < 0 || fstat(fd, &status) != 0)
    return false;
  if (strstr(path, part) == nullptr || end <= status.st_size)
    return false;
  errno = ENOSPC;
  return true;
}

static off_t total(const struct iovec *parts, int count) {
  off_t size = 0;
  for (int i = 0; i < count; ++i)
    size += static_cast<off_t>(parts[i].iov_len);
  return size;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return full(fd, offset + static_cast<off_t>(size)) ? -1 : real("pwrite", pwrite)(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return full(fd, offset + total(parts, count)) ? -1 : real("pwritev", pwritev)(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev(fd, parts, count, offset);
}
int posix_fallocate(int fd, off_t offset, off_t size) {
  return full(fd, offset + size) ? ENOSPC : real("posix_fallocate", posix_fallocate)(fd, offset, size);
}
int posix_fallocate64(int fd, off_t offset, off_t size) {
  return posix_fallocate(fd, offset, size);
}
}
