/* The taint table, included by _native.c alone: the extension twin of pure.py, which documents the interface.
 *
 * The table of a request is an open-addressing hash from object address to (strong reference, ranges, step). The strong reference keeps
 * an address from being reused while the table knows it. Hooks run after the interpreter's own operation and only ever return its result
 * or an equal copy; a failure inside is reported through on_error and swallowed. All state is protected by the GIL (free-threaded builds
 * are refused at import). Sums, subscripts, slices, joins and f-strings of text are done here; everything rarer is handed to the transfer
 * functions in transfer.py, and only when an operand is tainted.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <stdint.h>

#ifdef Py_GIL_DISABLED
#error "phalanx-app's extension needs the GIL; the pure-Python twin serves free-threaded builds"
#endif

typedef struct { Py_ssize_t start, end; int32_t source; uint64_t marks; } Range;
typedef struct { PyObject *obj; Range *ranges; int32_t count; int32_t step; } Entry;
typedef struct { PyObject *op; PyObject *code; int32_t lasti, first, second, source; uint64_t validated; } Step;

typedef struct {
    PyObject_HEAD
    PyObject *owner;
    PyObject *weak;
    Entry *slots;
    Py_ssize_t used, size;            /* size is a power of two, or 0 before the first entry */
    Step *steps;
    Py_ssize_t step_count, step_size;
    Py_ssize_t max_entries, max_ranges, max_steps, overflow, steps_lost;
    int alive;
} Table;

#define SOURCE_COPY 65536

static PyObject *g_on, *g_builtins, *g_current, *g_slow, *g_on_error, *g_prefix;
static PyTypeObject *g_match, *g_formatted;
static Py_ssize_t g_live;
static PyTypeObject TableType;
static PyObject *s_value, *s_px_on, *s_join;

/* ---- the hash ------------------------------------------------------------------------------------------------------------------ */

static inline size_t slot_of(PyObject *o, size_t mask) {
    uintptr_t p = (uintptr_t)o;
    return (size_t)((p >> 4) ^ (p >> 12)) & mask;
}

static inline Entry *find(Table *t, PyObject *o) {
    if (!t->used) return NULL;
    size_t mask = (size_t)t->size - 1, at = slot_of(o, mask);
    while (t->slots[at].obj) {
        if (t->slots[at].obj == o) return &t->slots[at];
        at = (at + 1) & mask;
    }
    return NULL;
}

/* The flag that rewritten code reads is a plain bool in builtins: the cheapest thing that inline code can test. It changes when the first
 * request begins to hold taint and when the last one ends; replacing the value of a known key leaves the interpreter's caches valid. */
static void count_live(int by) {
    g_live += by;
    int on = g_live > 0;
    if (on == (PyList_GET_SIZE(g_on) > 0)) return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (on ? PyList_Append(g_on, Py_True) < 0 : PyList_SetSlice(g_on, 0, PyList_GET_SIZE(g_on), NULL) < 0) PyErr_Clear();
    if (g_builtins && PyDict_SetItem(g_builtins, s_px_on, on ? Py_True : Py_False) < 0) PyErr_Clear();
    PyErr_Restore(type, value, trace);
}

static int grow(Table *t) {
    Py_ssize_t size = t->size ? t->size * 2 : 64;
    Entry *slots = PyMem_Calloc((size_t)size, sizeof(Entry));
    if (!slots) { PyErr_NoMemory(); return -1; }
    for (Py_ssize_t i = 0; i < t->size; i++) {
        if (!t->slots[i].obj) continue;
        size_t at = slot_of(t->slots[i].obj, (size_t)size - 1);
        while (slots[at].obj) at = (at + 1) & ((size_t)size - 1);
        slots[at] = t->slots[i];
    }
    PyMem_Free(t->slots);
    t->slots = slots;
    t->size = size;
    return 0;
}

static void forget(Table *t, PyObject *o) {
    Entry *e = find(t, o);
    if (!e) return;
    PyObject *held = e->obj;
    PyMem_Free(e->ranges);
    size_t mask = (size_t)t->size - 1, hole = (size_t)(e - t->slots), at = hole;
    t->slots[hole].obj = NULL;
    for (;;) {                         /* close the gap, so that searching may stop at the first empty slot */
        at = (at + 1) & mask;
        if (!t->slots[at].obj) break;
        size_t home = slot_of(t->slots[at].obj, mask);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            t->slots[hole] = t->slots[at];
            t->slots[at].obj = NULL;
            hole = at;
        }
    }
    t->used--;
    Py_DECREF(held);
}

static void empty(Table *t) {
    Entry *slots = t->slots;
    Step *steps = t->steps;
    Py_ssize_t size = t->size, count = t->step_count;
    int alive = t->alive;
    t->slots = NULL; t->steps = NULL; t->size = t->used = t->step_count = t->step_size = 0; t->alive = 0;
    if (alive) count_live(-1);
    for (Py_ssize_t i = 0; i < size; i++)
        if (slots[i].obj) { PyMem_Free(slots[i].ranges); Py_DECREF(slots[i].obj); }
    PyMem_Free(slots);
    for (Py_ssize_t i = 0; i < count; i++) { Py_XDECREF(steps[i].op); Py_XDECREF(steps[i].code); }
    PyMem_Free(steps);
}

/* ---- ranges -------------------------------------------------------------------------------------------------------------------- */

typedef struct { Range *at; Py_ssize_t count, size; Range small[16]; } Build;

static inline void build_start(Build *b) { b->at = b->small; b->count = 0; b->size = 16; }
static inline void build_end(Build *b) { if (b->at != b->small) PyMem_Free(b->at); }

static int build_add(Build *b, Py_ssize_t start, Py_ssize_t end, int32_t source, uint64_t marks) {
    if (start >= end) return 0;
    if (b->count) {
        Range *last = &b->at[b->count - 1];
        if (last->end == start && last->source == source && last->marks == marks) { last->end = end; return 0; }
    }
    if (b->count == b->size) {
        Range *more = b->at == b->small ? PyMem_Malloc(sizeof(Range) * (size_t)b->size * 2)
                                        : PyMem_Realloc(b->at, sizeof(Range) * (size_t)b->size * 2);
        if (!more) { PyErr_NoMemory(); return -1; }
        if (b->at == b->small) memcpy(more, b->small, sizeof(b->small));
        b->at = more;
        b->size *= 2;
    }
    b->at[b->count++] = (Range){start, end, source, marks};
    return 0;
}

static int build_clip(Build *b, Entry *e, Py_ssize_t start, Py_ssize_t end, Py_ssize_t shift) {
    for (int32_t i = 0; i < e->count; i++) {
        Range *r = &e->ranges[i];
        if (r->end <= start) continue;
        if (r->start >= end) break;
        Py_ssize_t low = r->start > start ? r->start : start, high = r->end < end ? r->end : end;
        if (build_add(b, low - start + shift, high - start + shift, r->source, r->marks) < 0) return -1;
    }
    return 0;
}

static void build_limit(Build *b, Py_ssize_t limit, Py_ssize_t length) {
    Py_ssize_t kept = 0;
    for (Py_ssize_t i = 0; i < b->count; i++) {
        Range r = b->at[i];
        if (length >= 0 && r.end > length) r.end = length;
        if (r.start >= r.end) continue;
        if (kept) {
            Range *last = &b->at[kept - 1];
            if (last->end == r.start && last->source == r.source && last->marks == r.marks) { last->end = r.end; continue; }
            if (kept >= limit) { last->end = r.end; last->marks &= r.marks; continue; }
        }
        b->at[kept++] = r;
    }
    b->count = kept;
}

static PyObject *ranges_tuple(Entry *e) {
    PyObject *out = PyTuple_New(e->count);
    if (!out) return NULL;
    for (int32_t i = 0; i < e->count; i++) {
        Range *r = &e->ranges[i];
        PyObject *one = Py_BuildValue("(nniK)", r->start, r->end, (int)r->source, (unsigned long long)r->marks);
        if (!one) { Py_DECREF(out); return NULL; }
        PyTuple_SET_ITEM(out, i, one);
    }
    return out;
}

/* ---- copies and steps ---------------------------------------------------------------------------------------------------------- */

static PyObject *fresh_copy(PyObject *o) {
    if (PyUnicode_CheckExact(o)) {
        Py_ssize_t n = PyUnicode_GET_LENGTH(o);
        if (!n) return Py_NewRef(o);
        PyObject *out = PyUnicode_New(n, PyUnicode_MAX_CHAR_VALUE(o));
        if (out && PyUnicode_CopyCharacters(out, 0, o, 0, n) < 0) Py_CLEAR(out);
        return out;
    }
    if (PyBytes_CheckExact(o)) {
        Py_ssize_t n = PyBytes_GET_SIZE(o);
        if (!n) return Py_NewRef(o);
        PyObject *out = PyBytes_FromStringAndSize(NULL, n);
        if (out) memcpy(PyBytes_AS_STRING(out), PyBytes_AS_STRING(o), (size_t)n);
        return out;
    }
    return Py_NewRef(o);
}

/* The step just made by the running frame of the application; agent frames in between are skipped. */
static int32_t new_step(Table *t, PyObject *op, int32_t first, int32_t second, int32_t source) {
    if (t->step_count >= t->max_steps) { t->steps_lost++; return first; }
    if (t->step_count == t->step_size) {
        Py_ssize_t size = t->step_size ? t->step_size * 2 : 64;
        Step *more = PyMem_Realloc(t->steps, sizeof(Step) * (size_t)size);
        if (!more) { t->steps_lost++; return first; }
        t->steps = more;
        t->step_size = size;
    }
    PyObject *code = NULL;
    int32_t lasti = -1;
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    while (frame) {
        PyCodeObject *c = PyFrame_GetCode(frame);
        PyFrameObject *back = NULL;
        if (PyUnicode_Tailmatch(c->co_filename, g_prefix, 0, PY_SSIZE_T_MAX, -1) == 1) back = PyFrame_GetBack(frame);
        if (!back) {
            code = (PyObject *)c;
#if PY_VERSION_HEX >= 0x030B0000
            lasti = PyFrame_GetLasti(frame);
#else
            lasti = frame->f_lasti * 2;
#endif
            Py_DECREF(frame);
            break;
        }
        Py_DECREF(c);
        Py_DECREF(frame);
        frame = back;
    }
    Py_INCREF(op);
    t->steps[t->step_count] = (Step){op, code, lasti, first, second, source, 0};
    return (int32_t)t->step_count++;
}

static inline Py_ssize_t text_length(PyObject *o) {
    if (PyUnicode_Check(o)) return PyUnicode_GET_LENGTH(o);
    if (PyBytes_Check(o)) return PyBytes_GET_SIZE(o);
    if (PyByteArray_Check(o)) return PyByteArray_GET_SIZE(o);
    return -1;
}

static inline int is_text(PyObject *o) { return PyUnicode_Check(o) || PyBytes_Check(o) || PyByteArray_Check(o); }

/* Record what was built for `value`; returns a new reference to the object that carries it. */
static PyObject *put(Table *t, PyObject *value, Build *b, PyObject *op, PyObject *const *parents, Py_ssize_t nparents, int32_t source) {
    int exact = PyUnicode_CheckExact(value) || PyBytes_CheckExact(value);
    build_limit(b, t->max_ranges, exact ? text_length(value) : -1);
    if (!b->count) {
        if (!exact) forget(t, value);
        return Py_NewRef(value);
    }
    Entry *known = find(t, value);
    PyObject *carrier = NULL;
    if (exact) {
        if (known && known->count == b->count) {
            Py_ssize_t i = 0;
            while (i < b->count && known->ranges[i].start == b->at[i].start && known->ranges[i].end == b->at[i].end &&
                   known->ranges[i].source == b->at[i].source && known->ranges[i].marks == b->at[i].marks) i++;
            if (i == b->count) return Py_NewRef(value);
        }
        int shared = known != NULL || text_length(value) <= 1 || (PyUnicode_CheckExact(value) && PyUnicode_CHECK_INTERNED(value));
        for (Py_ssize_t i = 0; !shared && i < nparents; i++) shared = parents[i] == value;
        if (shared) {
            carrier = fresh_copy(value);
            if (!carrier) return NULL;
            known = NULL;
        }
    }
    if (!carrier) carrier = Py_NewRef(value);
    if (!known && t->used >= t->max_entries) { t->overflow++; return carrier; }
    Range *ranges = PyMem_Malloc(sizeof(Range) * (size_t)b->count);
    if (!ranges) { Py_DECREF(carrier); return PyErr_NoMemory(); }
    memcpy(ranges, b->at, sizeof(Range) * (size_t)b->count);
    int32_t first = -1, second = -1;
    for (Py_ssize_t i = 0; i < nparents; i++) {
        Entry *e = find(t, parents[i]);
        if (!e || e->step < 0) continue;
        if (first < 0) first = e->step;
        else if (e->step != first) { second = e->step; break; }
    }
    int32_t step = new_step(t, op, first, second, source);
    known = find(t, carrier);
    if (known) {
        PyMem_Free(known->ranges);
        known->ranges = ranges; known->count = (int32_t)b->count; known->step = step;
    } else {
        if ((t->used + 1) * 3 > t->size * 2 && grow(t) < 0) { PyMem_Free(ranges); Py_DECREF(carrier); return NULL; }
        size_t mask = (size_t)t->size - 1, at = slot_of(carrier, mask);
        while (t->slots[at].obj) at = (at + 1) & mask;
        t->slots[at] = (Entry){Py_NewRef(carrier), ranges, (int32_t)b->count, step};
        t->used++;
    }
    if (!t->alive) { t->alive = 1; count_live(1); }
    return carrier;
}

/* ---- the type ------------------------------------------------------------------------------------------------------------------ */

static int Table_init(Table *self, PyObject *args, PyObject *kw) {
    static char *names[] = {"owner", "max_entries", "max_ranges", "max_steps", NULL};
    PyObject *owner = Py_None;
    Py_ssize_t entries = 50000, ranges = 64, steps = 20000;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "|Onnn", names, &owner, &entries, &ranges, &steps)) return -1;
    Py_INCREF(owner);
    Py_XSETREF(self->owner, owner);
    self->max_entries = entries; self->max_ranges = ranges; self->max_steps = steps;
    return 0;
}

static int Table_traverse(Table *self, visitproc visit, void *arg) {
    Py_VISIT(self->owner);
    for (Py_ssize_t i = 0; i < self->size; i++) Py_VISIT(self->slots[i].obj);
    return 0;
}

static int Table_gcclear(Table *self) { Py_CLEAR(self->owner); empty(self); return 0; }

static void Table_dealloc(Table *self) {
    PyObject_GC_UnTrack(self);
    if (self->weak) PyObject_ClearWeakRefs((PyObject *)self);
    Py_CLEAR(self->owner);
    empty(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static Py_ssize_t Table_len(Table *self) { return self->used; }
static int Table_bool(Table *self) { (void)self; return 1; }

static PyObject *Table_ranges(Table *self, PyObject *o) {
    Entry *e = find(self, o);
    if (!e) Py_RETURN_NONE;
    return ranges_tuple(e);
}

static PyObject *Table_has(Table *self, PyObject *o) { return PyBool_FromLong(find(self, o) != NULL); }
static PyObject *Table_drop(Table *self, PyObject *o) { forget(self, o); Py_RETURN_NONE; }
static PyObject *Table_clear(Table *self, PyObject *x) { (void)x; empty(self); Py_RETURN_NONE; }

static PyObject *Table_step(Table *self, PyObject *o) {
    Entry *e = find(self, o);
    return PyLong_FromLong(e ? e->step : -1);
}

static PyObject *step_tuple(Step *s) {
    return Py_BuildValue("(OOiiiiK)", s->op, s->code ? s->code : Py_None, (int)s->lasti, (int)s->first, (int)s->second, (int)s->source,
                         (unsigned long long)s->validated);
}

static PyObject *Table_steps(Table *self, PyObject *x) {
    (void)x;
    PyObject *out = PyList_New(self->step_count);
    for (Py_ssize_t i = 0; out && i < self->step_count; i++) {
        PyObject *one = step_tuple(&self->steps[i]);
        if (!one) { Py_DECREF(out); return NULL; }
        PyList_SET_ITEM(out, i, one);
    }
    return out;
}

static PyObject *Table_step_at(Table *self, PyObject *o) {
    Py_ssize_t n = PyLong_AsSsize_t(o);
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (n < 0) n += self->step_count;
    if (n < 0 || n >= self->step_count) { PyErr_SetString(PyExc_IndexError, "no such step"); return NULL; }
    return step_tuple(&self->steps[n]);
}

static PyObject *Table_validate(Table *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 2) { PyErr_SetString(PyExc_TypeError, "validate(step, marks)"); return NULL; }
    Py_ssize_t at = PyLong_AsSsize_t(args[0]);
    uint64_t marks = PyLong_AsUnsignedLongLongMask(args[1]);
    if (PyErr_Occurred()) return NULL;
    if (at >= 0 && at < self->step_count) self->steps[at].validated |= marks;
    Py_RETURN_NONE;
}

static int tainted(Table *t, PyObject *o);

/* Whether any of the arguments, or a member of one, is tainted. */
static PyObject *Table_touches(Table *self, PyObject *args) {
    if (!PyTuple_Check(args)) { PyErr_SetString(PyExc_TypeError, "touches(tuple)"); return NULL; }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++)
        if (tainted(self, PyTuple_GET_ITEM(args, i))) Py_RETURN_TRUE;
    Py_RETURN_FALSE;
}

static PyObject *Table_source(Table *self, PyObject *const *args, Py_ssize_t n) {
    if (n != 3 || !PyUnicode_Check(args[2])) { PyErr_SetString(PyExc_TypeError, "source(value, number, op)"); return NULL; }
    Py_ssize_t length = text_length(args[0]);
    if (length < 0 && (length = PyObject_Size(args[0])) < 0) return NULL;
    long source = PyLong_AsLong(args[1]);
    if (source == -1 && PyErr_Occurred()) return NULL;
    /* What comes in may be shared with anything (a constant, a server's cache), so short values get an identity of their own. */
    PyObject *value = length <= SOURCE_COPY ? fresh_copy(args[0]) : Py_NewRef(args[0]);
    if (!value) return NULL;
    Build b;
    build_start(&b);
    PyObject *out = build_add(&b, 0, length, (int32_t)source, 0) < 0 ? NULL : put(self, value, &b, args[2], NULL, 0, (int32_t)source);
    build_end(&b);
    Py_DECREF(value);
    return out;
}

static PyObject *Table_put(Table *self, PyObject *args, PyObject *kw) {
    static char *names[] = {"value", "ranges", "op", "parents", "source", NULL};
    PyObject *value, *ranges, *op, *parents = NULL;
    int source = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "OOU|O!i", names, &value, &ranges, &op, &PyTuple_Type, &parents, &source)) return NULL;
    PyObject *seq = PySequence_Fast(ranges, "ranges must be a sequence");
    if (!seq) return NULL;
    Build b;
    build_start(&b);
    PyObject *out = NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(seq); i++) {
        PyObject *one = PySequence_Fast_GET_ITEM(seq, i);
        if (!PyTuple_Check(one) || PyTuple_GET_SIZE(one) != 4) { PyErr_SetString(PyExc_TypeError, "a range has four members"); goto done; }
        Py_ssize_t start = PyLong_AsSsize_t(PyTuple_GET_ITEM(one, 0)), end = PyLong_AsSsize_t(PyTuple_GET_ITEM(one, 1));
        long from = PyLong_AsLong(PyTuple_GET_ITEM(one, 2));
        uint64_t marks = PyLong_AsUnsignedLongLongMask(PyTuple_GET_ITEM(one, 3));
        if (PyErr_Occurred() || build_add(&b, start, end, (int32_t)from, marks) < 0) goto done;
    }
    if (parents) out = put(self, value, &b, op, ((PyTupleObject *)parents)->ob_item, PyTuple_GET_SIZE(parents), source);
    else out = put(self, value, &b, op, NULL, 0, source);
done:
    build_end(&b);
    Py_DECREF(seq);
    return out;
}

static PyMethodDef Table_methods[] = {
    {"ranges", (PyCFunction)Table_ranges, METH_O, "The ranges of this very object, or None."},
    {"has", (PyCFunction)Table_has, METH_O, "Whether this very object is tainted."},
    {"drop", (PyCFunction)Table_drop, METH_O, "Forget this object."},
    {"clear", (PyCFunction)Table_clear, METH_NOARGS, "Forget everything."},
    {"touches", (PyCFunction)Table_touches, METH_O, "Whether any of the values in a tuple, or a member of one, is tainted."},
    {"step", (PyCFunction)Table_step, METH_O, "The number of the step that made this object, or -1."},
    {"steps", (PyCFunction)Table_steps, METH_NOARGS, "All steps."},
    {"step_at", (PyCFunction)Table_step_at, METH_O, "One step."},
    {"validate", (PyCFunction)(void (*)(void))Table_validate, METH_FASTCALL, "Add marks to a step."},
    {"source", (PyCFunction)(void (*)(void))Table_source, METH_FASTCALL, "Taint a value from a source."},
    {"put", (PyCFunction)(void (*)(void))Table_put, METH_VARARGS | METH_KEYWORDS, "Record ranges for a value."},
    {NULL, NULL, 0, NULL},
};

#include <structmember.h>
static PyMemberDef Table_members[] = {
    {"owner", T_OBJECT, offsetof(Table, owner), 0, "The request."},
    {"overflow", T_PYSSIZET, offsetof(Table, overflow), 0, "Values that could not be recorded."},
    {"steps_lost", T_PYSSIZET, offsetof(Table, steps_lost), 0, "Steps that were not recorded."},
    {NULL, 0, 0, 0, NULL},
};
static PySequenceMethods Table_sequence = {.sq_length = (lenfunc)Table_len};
static PyNumberMethods Table_number = {.nb_bool = (inquiry)Table_bool};
static PyTypeObject TableType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "phalanx_app.taint._native.Table",
    .tp_basicsize = sizeof(Table),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Which values of one request are tainted, where, and how the taint came there.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Table_init,
    .tp_dealloc = (destructor)Table_dealloc,
    .tp_traverse = (traverseproc)Table_traverse,
    .tp_clear = (inquiry)Table_gcclear,
    .tp_as_sequence = &Table_sequence,
    .tp_as_number = &Table_number,
    .tp_methods = Table_methods,
    .tp_members = Table_members,
    .tp_weaklistoffset = offsetof(Table, weak),
};
