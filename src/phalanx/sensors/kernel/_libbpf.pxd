# cython: language_level=3
"""What is used of libbpf 1.x (bpf/libbpf.h, bpf/bpf.h) and of the ring buffer's memory layout."""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<bpf/libbpf.h>" nogil:
    cdef struct bpf_object:
        pass
    cdef struct bpf_program:
        pass
    cdef struct bpf_map:
        pass
    cdef struct bpf_link:
        pass
    cdef struct bpf_object_open_opts:
        size_t sz
        const char* object_name
    bpf_object* bpf_object__open_mem(const void* content, size_t size, const bpf_object_open_opts* opts)
    int bpf_object__load(bpf_object* obj)
    void bpf_object__close(bpf_object* obj)
    bpf_program* bpf_object__find_program_by_name(const bpf_object* obj, const char* name)
    bpf_program* bpf_object__next_program(const bpf_object* obj, bpf_program* prog)
    bpf_map* bpf_object__find_map_by_name(const bpf_object* obj, const char* name)
    const char* bpf_program__name(const bpf_program* prog)
    const char* bpf_program__section_name(const bpf_program* prog)
    int bpf_program__set_autoload(bpf_program* prog, bint autoload)
    int bpf_program__fd(const bpf_program* prog)
    int bpf_program__expected_attach_type(const bpf_program* prog)
    bpf_link* bpf_program__attach(const bpf_program* prog)
    bpf_link* bpf_program__attach_iter(const bpf_program* prog, const void* opts)
    int bpf_link__destroy(bpf_link* link)
    int bpf_link__fd(const bpf_link* link)
    int bpf_map__fd(const bpf_map* map)
    int bpf_map__set_max_entries(bpf_map* map, uint32_t max_entries)
    int libbpf_num_possible_cpus()
    ctypedef int (*print_function)(int level, const char* format, void* arguments) noexcept nogil

cdef extern from "<bpf/bpf.h>" nogil:
    int bpf_map_update_elem(int fd, const void* key, const void* value, uint64_t flags)
    int bpf_map_lookup_elem(int fd, const void* key, void* value)
    int bpf_iter_create(int link_fd)

cdef extern from * nogil:
    """
    #include <bpf/libbpf.h>
    #include <stdarg.h>
    #include <stdio.h>
    #include <string.h>
    /* The last words of libbpf and the verifier, kept for the error message; never printed. */
    static char phx_log[4096];
    static int phx_print(enum libbpf_print_level level, const char *format, va_list arguments)
    {
        char line[1024];
        size_t used, more;
        if (level == LIBBPF_DEBUG) return 0;
        vsnprintf(line, sizeof line, format, arguments);
        more = strlen(line); used = strlen(phx_log);
        if (more >= sizeof phx_log - 1) return 0;
        if (used + more >= sizeof phx_log) { memmove(phx_log, phx_log + used / 2, used - used / 2 + 1); used = strlen(phx_log); }
        if (used + more < sizeof phx_log) memcpy(phx_log + used, line, more + 1);
        return 0;
    }
    static void phx_quiet(void) { libbpf_set_print(phx_print); }
    static unsigned long phx_load(const unsigned long *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static unsigned phx_load32(const unsigned *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static void phx_store(unsigned long *at, unsigned long value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
    """
    char* phx_log
    void phx_quiet()
    unsigned long phx_load(const unsigned long* at)
    unsigned int phx_load32(const unsigned int* at)
    void phx_store(unsigned long* at, unsigned long value)
