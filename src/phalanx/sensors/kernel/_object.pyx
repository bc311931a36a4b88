# cython: language_level=3, boundscheck=False
# distutils: libraries = bpf
"""The kernel object: opened, probed, loaded, attached and drained through libbpf (dynamically linked, libbpf.so.1).

Nothing is pinned: when the object is closed, or the process dies, the kernel removes programs, maps and links.
"""

from __future__ import annotations

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close, read, sysconf, _SC_PAGESIZE

from phalanx.sensors.kernel._decode cimport Decoder
from phalanx.sensors.kernel._libbpf cimport *
from phalanx.sensors.kernel._record cimport *

import os

cdef enum:
    BUSY_BIT = 0x80000000
    DISCARD_BIT = 0x40000000
    HEADER = 8
    BOUNCE = 65536  # more than the kernel programs' largest record


def _said() -> str:
    """The last words of libbpf, and none left."""
    lines = phx_log.decode("utf-8", "replace").strip().splitlines()
    phx_log[0] = 0
    return " | ".join(lines[max(0, len(lines) - 6):])


cdef class KernelObject:
    """One loaded object. ``programs`` says for each program whether it is to run; libbpf's words are in the OSError of what fails."""

    cdef bpf_object* obj
    cdef bytes image
    cdef bpf_link* links[64]  # C's own: close() also runs when Python has cleared its attributes
    cdef int linked
    cdef int ring_fd
    cdef size_t ring_size
    cdef size_t page
    cdef unsigned long* consumer
    cdef unsigned long* producer
    cdef const char* data
    cdef int cpus
    cdef char* split

    def __cinit__(self, bytes image not None):
        phx_quiet()
        self.image = image
        self.page = sysconf(_SC_PAGESIZE)
        self.split = <char*>malloc(BOUNCE)
        if self.split == NULL:
            raise MemoryError
        self.obj = bpf_object__open_mem(PyBytes_AS_STRING(image), len(image), NULL)
        if self.obj == NULL:
            raise OSError(errno, f"libbpf cannot read the kernel object: {_said()}")

    def __dealloc__(self):
        self.close()
        free(self.split)

    cpdef close(self):
        """Detach, unload and unmap; again is harmless."""
        while self.linked > 0:
            self.linked -= 1
            bpf_link__destroy(self.links[self.linked])
        if self.consumer != NULL:
            munmap(self.consumer, self.page)
            self.consumer = NULL
        if self.producer != NULL:
            munmap(self.producer, self.page + self.ring_size)
            self.producer = NULL
        if self.obj != NULL:
            bpf_object__close(self.obj)
            self.obj = NULL

    def programs(self) -> dict[str, str]:
        """Name and section of each program."""
        cdef bpf_program* program = bpf_object__next_program(self.obj, NULL)
        out = {}
        while program != NULL:
            out[bpf_program__name(program).decode()] = bpf_program__section_name(program).decode()
            program = bpf_object__next_program(self.obj, program)
        return out

    cdef bpf_program* _program(self, str name) except NULL:
        cdef bytes raw = name.encode()
        cdef bpf_program* program = bpf_object__find_program_by_name(self.obj, raw)
        if program == NULL:
            raise KeyError(name)
        return program

    cdef bpf_map* _map(self, str name) except NULL:
        cdef bytes raw = name.encode()
        cdef bpf_map* found = bpf_object__find_map_by_name(self.obj, raw)
        if found == NULL:
            raise KeyError(name)
        return found

    def choose(self, names) -> None:
        """Only these programs are loaded."""
        for name in self.programs():
            bpf_program__set_autoload(self._program(name), name in names)

    def resize(self, str name, uint32_t entries) -> None:
        """Set the size of a map, before loading."""
        bpf_map__set_max_entries(self._map(name), entries)

    def load(self) -> None:
        """Hand the programs to the verifier. OSError with its last words when it refuses."""
        cdef int result = bpf_object__load(self.obj)
        if result < 0:
            raise OSError(-result, f"the kernel refuses the programs: {os.strerror(-result)}: {_said()}")
        self.cpus = libbpf_num_possible_cpus()

    def attach(self, str name) -> None:
        """Attach one program to its hook."""
        cdef bpf_link* link
        if self.linked >= 64:
            raise OSError(7, "too many programs")
        link = bpf_program__attach(self._program(name))
        if link == NULL:
            raise OSError(errno, f"cannot attach {name}: {os.strerror(errno)}: {_said()}")
        self.links[self.linked] = link
        self.linked += 1

    def update(self, str name, bytes key not None, bytes value not None) -> None:
        """Set one element of a map."""
        if bpf_map_update_elem(bpf_map__fd(self._map(name)), PyBytes_AS_STRING(key), PyBytes_AS_STRING(value), 0) < 0:
            raise OSError(errno, f"cannot write to the map {name}: {os.strerror(errno)}")

    def set_program(self, str table, uint32_t index, str name) -> None:
        """Put a program into a table of tail calls."""
        cdef int fd = bpf_program__fd(self._program(name))
        if bpf_map_update_elem(bpf_map__fd(self._map(table)), &index, &fd, 0) < 0:
            raise OSError(errno, f"cannot put {name} into {table}: {os.strerror(errno)}")

    def counters(self) -> list[tuple[int, ...]]:
        """The counters of each CPU, in the order of ``enum ph_counter``."""
        cdef int fd = bpf_map__fd(self._map("counters"))
        cdef uint64_t* values = <uint64_t*>calloc(self.cpus, 8)
        cdef uint32_t key
        cdef int cpu
        if values == NULL:
            raise MemoryError
        try:
            rows = []
            for key in range(PH_COUNTERS):
                if bpf_map_lookup_elem(fd, &key, values) < 0:
                    raise OSError(errno, "cannot read the counters")
                rows.append([values[cpu] for cpu in range(self.cpus)])
        finally:
            free(values)
        return list(zip(*rows))

    def iterate(self, str name, Decoder decoder not None) -> int:
        """Run an iterator program and feed its records; returns their number."""
        cdef bpf_link* link = bpf_program__attach_iter(self._program(name), NULL)
        cdef int fd
        cdef ssize_t got
        cdef size_t at
        cdef uint32_t size
        cdef const char* start
        cdef int records = 0
        if link == NULL:
            raise OSError(errno, f"cannot attach the iterator {name}: {_said()}")
        fd = bpf_iter_create(bpf_link__fd(link))
        if fd < 0:
            bpf_link__destroy(link)
            raise OSError(errno, f"cannot start the iterator {name}")
        cdef bytes chunk = PyBytes_FromStringAndSize(NULL, 1 << 18)
        cdef bytes rest = b""
        try:
            while True:
                got = read(fd, PyBytes_AS_STRING(chunk), 1 << 18)
                if got < 0:
                    raise OSError(errno, f"the iterator {name} stopped: {os.strerror(errno)}")
                if got == 0:
                    break
                rest += PyBytes_FromStringAndSize(PyBytes_AS_STRING(chunk), got)
                at = 0
                start = PyBytes_AS_STRING(rest)
                while at + 4 <= <size_t>len(rest):
                    size = (<uint32_t*>(start + at))[0]
                    if size < sizeof(ph_record):
                        raise OSError(5, f"the iterator {name} gave a record of {size} bytes")
                    if at + size > <size_t>len(rest):
                        break
                    decoder.feed(start + at, size)
                    records += 1
                    at += size
                rest = rest[at:]
        finally:
            close(fd)
            bpf_link__destroy(link)
        return records

    def open_ring(self, size_t size) -> None:
        """Map the ring buffer: consumer page, producer page, data (Documentation/bpf/ringbuf.rst).

        The kernel offers the data twice in a row, so that no record is ever split; every mapped page counts as resident memory, so it is
        mapped once here and the rare record that crosses the end is put together in a buffer.
        """
        self.ring_fd = bpf_map__fd(self._map("ring"))
        self.ring_size = size
        cdef void* at = mmap(NULL, self.page, PROT_READ | PROT_WRITE, MAP_SHARED, self.ring_fd, 0)
        if at == MAP_FAILED:
            raise OSError(errno, "cannot map the ring buffer")
        self.consumer = <unsigned long*>at
        at = mmap(NULL, self.page + size, PROT_READ, MAP_SHARED, self.ring_fd, self.page)
        if at == MAP_FAILED:
            raise OSError(errno, "cannot map the ring buffer")
        self.producer = <unsigned long*>at
        self.data = <const char*>at + self.page

    def waiting(self) -> int:
        """Bytes in the ring that are not read yet."""
        if self.consumer == NULL:
            return 0
        return phx_load(self.producer) - phx_load(self.consumer)

    cdef size_t _drain(self, Decoder decoder, size_t most) noexcept nogil:
        cdef unsigned long at = phx_load(self.consumer)
        cdef unsigned long end
        cdef uint32_t length, size
        cdef size_t records = 0, place, first
        cdef const char* header
        cdef const char* record
        while records < most:
            end = phx_load(self.producer)
            if at >= end:
                break
            while at < end and records < most:
                place = at & (self.ring_size - 1)
                header = self.data + place
                length = phx_load32(<const unsigned int*>header)
                if length & BUSY_BIT:
                    return records  # reserved, not written yet: the next poll sees it
                if not length & DISCARD_BIT:
                    size = length  # no flag is set
                    place = (place + HEADER) & (self.ring_size - 1)
                    record = self.data + place
                    if place + size > self.ring_size:
                        first = self.ring_size - place
                        memcpy(self.split, record, min(first, <size_t>BOUNCE))
                        if size <= BOUNCE:
                            memcpy(self.split + first, self.data, size - first)
                        record = self.split
                    if not decoder.feed(record, size):
                        # the batch is full; this record comes again
                        return records
                    records += 1
                at += ((length & ~(BUSY_BIT | DISCARD_BIT)) + HEADER + 7) & ~<unsigned long>7
                phx_store(self.consumer, at)
        return records

    def drain(self, Decoder decoder not None, size_t most) -> int:
        """Feed at most ``most`` records without the GIL; returns their number."""
        cdef size_t records
        if self.consumer == NULL:
            return 0
        with nogil:
            records = self._drain(decoder, most)
        return records
