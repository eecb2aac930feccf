// The one table of C library functions that vmswitch calls. Nothing outside src/linux declares or calls a foreign function.
//
// Pointers are passed as numbers (addresses below 2^53) or as Buffers; a Buffer must stay referenced while the kernel may use it.
import koffi from 'koffi'

type Pointer = number | bigint
type Bytes = Uint8Array | null

const libc = koffi.load('libc.so.6')
const close = libc.func('int close(int fd)')

export const sys = {
  open: libc.func('int open(const char *path, int flags, int mode)') as (path: string, flags: number, mode: number) => number,
  close: close as unknown as (fd: number) => number,
  /** In a thread beside this one; `done` is called when the kernel has closed it. */
  closeAside: close.async as unknown as (fd: number, done: () => void) => void,
  read: libc.func('int64_t read(int fd, void *data, size_t count)') as (fd: number, data: Bytes, count: number) => number,
  write: libc.func('int64_t write(int fd, const void *data, size_t count)') as (fd: number, data: Bytes, count: number) => number,
  readAt: libc.func('read', 'int64_t', ['int', 'uintptr_t', 'size_t']) as (fd: number, address: Pointer, count: number) => number,
  writeAt: libc.func('write', 'int64_t', ['int', 'uintptr_t', 'size_t']) as (
    fd: number,
    address: Pointer,
    count: number,
  ) => number,
  readv: libc.func('readv', 'int64_t', ['int', 'uintptr_t', 'int']) as (fd: number, vectors: Pointer, count: number) => number,
  writev: libc.func('writev', 'int64_t', ['int', 'uintptr_t', 'int']) as (fd: number, vectors: Pointer, count: number) => number,
  ioctl: libc.func('int ioctl(int fd, ulong request, void *argument)') as (
    fd: number,
    request: number,
    argument: Bytes,
  ) => number,
  ioctlValue: libc.func('ioctl', 'int', ['int', 'ulong', 'uintptr_t']) as (fd: number, request: number, value: Pointer) => number,
  fcntl: libc.func('int fcntl(int fd, int command, int argument)') as (fd: number, command: number, argument: number) => number,
  flock: libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number,
  ftruncate: libc.func('int ftruncate(int fd, int64_t length)') as (fd: number, length: number) => number,
  lseek: libc.func('int64_t lseek(int fd, int64_t offset, int whence)') as (fd: number, offset: number, whence: number) => number,
  mmap: libc.func('mmap', 'uintptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']) as (
    address: Pointer,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => number | bigint,
  munmap: libc.func('munmap', 'int', ['uintptr_t', 'size_t']) as (address: Pointer, length: number) => number,
  madvise: libc.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']) as (
    address: Pointer,
    length: number,
    advice: number,
  ) => number,
  memcpy: libc.func('memcpy', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'size_t']) as (
    target: Pointer,
    source: Pointer,
    length: number,
  ) => number | bigint,
  memfdCreate: libc.func('int memfd_create(const char *name, uint flags)') as (name: string, flags: number) => number,
  eventfd: libc.func('int eventfd(uint initial, int flags)') as (initial: number, flags: number) => number,
  socket: libc.func('int socket(int domain, int type, int protocol)') as (
    domain: number,
    type: number,
    protocol: number,
  ) => number,
  socketpair: libc.func('int socketpair(int domain, int type, int protocol, void *pair)') as (
    domain: number,
    type: number,
    protocol: number,
    pair: Bytes,
  ) => number,
  bind: libc.func('int bind(int fd, const void *address, uint length)') as (fd: number, address: Bytes, length: number) => number,
  listen: libc.func('int listen(int fd, int backlog)') as (fd: number, backlog: number) => number,
  accept4: libc.func('int accept4(int fd, void *address, void *length, int flags)') as (
    fd: number,
    address: Bytes,
    length: Bytes,
    flags: number,
  ) => number,
  connect: libc.func('int connect(int fd, const void *address, uint length)') as (
    fd: number,
    address: Bytes,
    length: number,
  ) => number,
  sendmsg: libc.func('int64_t sendmsg(int fd, const void *message, int flags)') as (
    fd: number,
    message: Bytes,
    flags: number,
  ) => number,
  recvmsg: libc.func('int64_t recvmsg(int fd, void *message, int flags)') as (
    fd: number,
    message: Bytes,
    flags: number,
  ) => number,
  sendmsgAt: libc.func('sendmsg', 'int64_t', ['int', 'uintptr_t', 'int']) as (
    fd: number,
    message: Pointer,
    flags: number,
  ) => number,
  recvfromAt: libc.func('recvfrom', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int', 'void*', 'void*']) as (
    fd: number,
    address: Pointer,
    length: number,
    flags: number,
    from: Bytes,
    fromLength: Bytes,
  ) => number,
  sendAt: libc.func('send', 'int64_t', ['int', 'uintptr_t', 'size_t', 'int']) as (
    fd: number,
    address: Pointer,
    length: number,
    flags: number,
  ) => number,
  sendmmsg: libc.func('sendmmsg', 'int', ['int', 'uintptr_t', 'uint', 'int']) as (
    fd: number,
    vectors: Pointer,
    count: number,
    flags: number,
  ) => number,
  recvmmsg: libc.func('recvmmsg', 'int', ['int', 'uintptr_t', 'uint', 'int', 'void*']) as (
    fd: number,
    vectors: Pointer,
    count: number,
    flags: number,
    timeout: Bytes,
  ) => number,
  shutdown: libc.func('int shutdown(int fd, int how)') as (fd: number, how: number) => number,
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)') as (
    fd: number,
    level: number,
    name: number,
    value: Bytes,
    length: number,
  ) => number,
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)') as (
    fd: number,
    level: number,
    name: number,
    value: Bytes,
    length: Bytes,
  ) => number,
  epollCreate1: libc.func('int epoll_create1(int flags)') as (flags: number) => number,
  epollCtl: libc.func('int epoll_ctl(int epoll, int operation, int fd, void *event)') as (
    epoll: number,
    operation: number,
    fd: number,
    event: Bytes,
  ) => number,
  epollWait: libc.func('int epoll_wait(int epoll, void *events, int count, int timeout)') as (
    epoll: number,
    events: Bytes,
    count: number,
    timeout: number,
  ) => number,
  timerfdCreate: libc.func('int timerfd_create(int clock, int flags)') as (clock: number, flags: number) => number,
  timerfdSettime: libc.func('int timerfd_settime(int fd, int flags, const void *value, void *old)') as (
    fd: number,
    flags: number,
    value: Bytes,
    old: Bytes,
  ) => number,
  poll: libc.func('int poll(void *descriptors, ulong count, int timeout)') as (
    descriptors: Bytes,
    count: number,
    timeout: number,
  ) => number,
  ifNametoindex: libc.func('uint if_nametoindex(const char *name)') as (name: string) => number,
  strerror: libc.func('const char *strerror(int errno)') as (errno: number) => string,
  schedSetaffinity: libc.func('int sched_setaffinity(int pid, size_t size, const void *mask)') as (
    pid: number,
    size: number,
    mask: Bytes,
  ) => number,
  gettid: libc.func('int gettid()') as () => number,
  bpf: libc.func('syscall', 'int64_t', ['int64_t', 'int64_t', 'uintptr_t', 'size_t']) as (
    number: number,
    command: number,
    attributes: Pointer,
    length: number,
  ) => number,
}

/** errno of the last call that failed on this thread. */
export const lastErrno = (): number => koffi.errno()

/** The native address of a typed array's or buffer's first byte. Valid while a reference to it is kept. */
export const addressOf = (view: ArrayBufferView | ArrayBufferLike): number => Number(koffi.address(view as ArrayBufferView))

/** An ArrayBuffer over native memory that someone else keeps alive. It can't be sent to another thread: send the address. */
export const nativeView = (address: number, length: number): ArrayBuffer => koffi.view(BigInt(address), length) as ArrayBuffer

/** Calls `callback` on this thread's event loop when `fd` is ready. The handle must be kept: the watcher dies with it. */
export const pollHandle = (
  fd: number,
  events: { readable?: boolean; writable?: boolean },
  callback: () => void,
): { close(): void; ref?(): void; unref?(): void } =>
  (koffi as unknown as { node: { poll(fd: number, events: object, callback: () => void): { close(): void } } }).node.poll(
    fd,
    events,
    callback,
  )

const read: { owners: readonly unknown[] } = { owners: [] }

/**
 * Stands behind a call that reads memory by its address: without a mention after the call, the collector may take the memory's owner for
 * dead once its address has been taken.
 */
export function keepUntilHere(...owners: readonly unknown[]): void {
  read.owners = owners
}
