/* The hot hooks over the taint table (_table.h): the extension twin of pure.py, which documents the interface. */
#include "_table.h"

/* ---- hooks --------------------------------------------------------------------------------------------------------------------- */

/* The running request's table, a new reference, or NULL (without an exception) when it holds no taint. */
static inline Table *running(void) {
    PyObject *value = NULL;
    if (!g_live || !g_current) return NULL;
    if (PyContextVar_Get(g_current, NULL, &value) < 0) { PyErr_Clear(); return NULL; }
    if (!value) return NULL;
    if (Py_TYPE(value) != &TableType || !((Table *)value)->used) { Py_DECREF(value); return NULL; }
    return (Table *)value;
}

static PyObject *failed(const char *name, PyObject *result) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (type && !PyErr_GivenExceptionMatches(type, PyExc_Exception)) {  /* an interrupt belongs to the application */
        PyErr_Restore(type, value, trace);
        return NULL;
    }
    if (g_on_error && type) {
        /* on_error runs as inside an except block, so that it can read the traceback. */
        PyObject *old_type, *old_value, *old_trace;
        PyErr_NormalizeException(&type, &value, &trace);
        if (trace) PyException_SetTraceback(value, trace);
        PyErr_GetExcInfo(&old_type, &old_value, &old_trace);
        PyErr_SetExcInfo(type, value, trace);
        PyObject *answer = PyObject_CallFunction(g_on_error, "s", name);
        if (answer) Py_DECREF(answer); else PyErr_Clear();
        PyErr_SetExcInfo(old_type, old_value, old_trace);
    } else { Py_XDECREF(type); Py_XDECREF(value); Py_XDECREF(trace); }
    return Py_NewRef(result);
}

/* Call the transfer function `name` with table, result and the further arguments; any failure gives the plain result. */
static PyObject *slow_call(PyObject *name, Table *t, PyObject *result, PyObject *const *args, Py_ssize_t n) {
    PyObject *function = PyDict_GetItemWithError(g_slow, name);
    if (!function) {
        if (PyErr_Occurred()) PyErr_Clear();
        return Py_NewRef(result);
    }
    PyObject *stack[34];
    if (n > 32) n = 32;
    stack[0] = (PyObject *)t;
    stack[1] = result;
    for (Py_ssize_t i = 0; i < n; i++) stack[i + 2] = args[i];
    PyObject *out = PyObject_Vectorcall(function, stack, (size_t)(n + 2), NULL);
    return out ? out : failed(PyUnicode_AsUTF8(name), result);
}

static PyObject *slow_named(const char *name, Table *t, PyObject *result, PyObject *const *args, Py_ssize_t n) {
    PyObject *key = PyUnicode_InternFromString(name);
    if (!key) return failed(name, result);
    PyObject *out = slow_call(key, t, result, args, n);
    Py_DECREF(key);
    return out;
}

static inline int plain(PyObject *o) { return o == Py_None || PyBool_Check(o) || PyLong_CheckExact(o) || PyFloat_CheckExact(o); }

static int tainted(Table *t, PyObject *o) {
    if (find(t, o)) return 1;
    PyObject **items = NULL;
    Py_ssize_t n = 0;
    if (PyTuple_CheckExact(o)) { items = ((PyTupleObject *)o)->ob_item; n = PyTuple_GET_SIZE(o); }
    else if (PyList_CheckExact(o)) { items = ((PyListObject *)o)->ob_item; n = PyList_GET_SIZE(o); }
    else if (PyDict_CheckExact(o)) {
        PyObject *key, *value;
        Py_ssize_t at = 0;
        for (int seen = 0; seen < 64 && PyDict_Next(o, &at, &key, &value); seen++)
            if (find(t, value)) return 1;
        return 0;
    }
    if (n > 64) n = 64;
    for (Py_ssize_t i = 0; i < n; i++) if (find(t, items[i])) return 1;
    return 0;
}

static PyObject *op_plus, *op_item, *op_slice, *op_join, *op_fstr;

static PyObject *do_add(Table *t, PyObject *r, PyObject *a, PyObject *b) {
    Entry *one = find(t, a), *two = find(t, b);
    if ((!one && !two) || !is_text(r)) return Py_NewRef(r);
    Py_ssize_t cut = text_length(a), rest = text_length(b);
    PyObject *both[2] = {a, b};
    if (cut < 0 || rest < 0 || text_length(r) != cut + rest) return slow_named("add", t, r, both, 2);
    Build build;
    build_start(&build);
    int bad = (one && build_clip(&build, one, 0, cut, 0) < 0) || (two && build_clip(&build, two, 0, rest, cut) < 0);
    PyObject *out = bad ? NULL : put(t, r, &build, op_plus, both, 2, -1);
    build_end(&build);
    return out ? out : failed("add", r);
}

static PyObject *do_item(Table *t, PyObject *r, PyObject *value, PyObject *key) {
    if (Py_TYPE(value) == g_match) { PyObject *a[2] = {value, key}; return slow_named("group", t, r, a, 2); }
    Entry *e = find(t, value);
    if (!e || !is_text(r)) return Py_NewRef(r);
    Py_ssize_t size = text_length(value), start, stop, step;
    if (size < 0) return Py_NewRef(r);
    PyObject *op;
    if (PySlice_Check(key)) {
        if (PySlice_Unpack(key, &start, &stop, &step) < 0) return failed("item", r);
        PySlice_AdjustIndices(size, &start, &stop, step);
        if (step != 1) {
            PyObject *a[4] = {value, PyLong_FromSsize_t(start), PyLong_FromSsize_t(stop), PyLong_FromSsize_t(step)};
            PyObject *out = a[1] && a[2] && a[3] ? slow_named("stride", t, r, a, 4) : failed("item", r);
            Py_XDECREF(a[1]); Py_XDECREF(a[2]); Py_XDECREF(a[3]);
            return out;
        }
        op = op_slice;
    } else if (PyLong_CheckExact(key)) {
        start = PyLong_AsSsize_t(key);
        if (start == -1 && PyErr_Occurred()) return failed("item", r);
        if (start < 0) start += size;
        stop = start + 1;
        op = op_item;
    } else return Py_NewRef(r);
    Build build;
    build_start(&build);
    PyObject *out = build_clip(&build, e, start, stop, 0) < 0 ? NULL : put(t, r, &build, op, &value, 1, -1);
    build_end(&build);
    return out ? out : failed("item", r);
}

static PyObject *do_join(Table *t, PyObject *r, PyObject *sep, PyObject *members, PyObject **slow_args) {
    PyObject **items;
    Py_ssize_t n;
    if (PyList_CheckExact(members)) { items = ((PyListObject *)members)->ob_item; n = PyList_GET_SIZE(members); }
    else { items = ((PyTupleObject *)members)->ob_item; n = PyTuple_GET_SIZE(members); }
    Entry *gap = find(t, sep);
    int any = gap != NULL;
    for (Py_ssize_t i = 0; !any && i < n; i++) any = find(t, items[i]) != NULL;
    if (!any) return Py_NewRef(r);
    if (!(PyUnicode_CheckExact(r) || PyBytes_CheckExact(r))) return slow_named(".join", t, r, slow_args, 3);
    Build build;
    build_start(&build);
    PyObject *parents[8], *out = NULL;
    Py_ssize_t at = 0, width = text_length(sep), np = 0;
    if (gap) parents[np++] = sep;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t size = text_length(items[i]);
        if (size < 0) { build_end(&build); return Py_NewRef(r); }
        if (i) {
            if (gap && build_clip(&build, gap, 0, width, at) < 0) goto bad;
            at += width;
        }
        Entry *e = find(t, items[i]);
        if (e) {
            if (build_clip(&build, e, 0, size, at) < 0) goto bad;
            if (np < 8) parents[np++] = items[i];
        }
        at += size;
    }
    out = put(t, r, &build, op_join, parents, np, -1);
bad:
    build_end(&build);
    return out ? out : failed("join", r);
}

static PyObject *do_fstr(Table *t, PyObject *r, PyObject *const *pieces, Py_ssize_t n) {
    int any = 0, known = 1;
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *one = pieces[i];
        if (PyUnicode_CheckExact(one)) total += PyUnicode_GET_LENGTH(one);
        else known = 0;
        if (any || plain(one)) continue;
        if (Py_TYPE(one) == g_formatted) {
            PyObject *value = PyObject_GetAttr(one, s_value);
            if (!value) return failed("fstr", r);
            any = tainted(t, value);
            Py_DECREF(value);
        } else any = tainted(t, one);
    }
    if (!any) return Py_NewRef(r);
    if (!known || !PyUnicode_CheckExact(r) || total != PyUnicode_GET_LENGTH(r)) {
        PyObject *name = PyUnicode_InternFromString("fstr"), *function = name ? PyDict_GetItemWithError(g_slow, name) : NULL;
        PyObject *args = function ? PyTuple_New(n + 2) : NULL, *out = NULL;
        if (args) {
            PyTuple_SET_ITEM(args, 0, Py_NewRef((PyObject *)t));
            PyTuple_SET_ITEM(args, 1, Py_NewRef(r));
            for (Py_ssize_t i = 0; i < n; i++) PyTuple_SET_ITEM(args, i + 2, Py_NewRef(pieces[i]));
            out = PyObject_Call(function, args, NULL);
            Py_DECREF(args);
        }
        Py_XDECREF(name);
        return out ? out : failed("fstr", r);
    }
    Build build;
    build_start(&build);
    PyObject *parents[8], *out = NULL;
    Py_ssize_t at = 0, np = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t size = PyUnicode_GET_LENGTH(pieces[i]);
        Entry *e = find(t, pieces[i]);
        if (e) {
            if (build_clip(&build, e, 0, size, at) < 0) goto bad;
            if (np < 8) parents[np++] = pieces[i];
        }
        at += size;
    }
    out = put(t, r, &build, op_fstr, parents, np, -1);
bad:
    build_end(&build);
    return out ? out : failed("fstr", r);
}

#define NEED(n, text) if (nargs < (n)) { PyErr_SetString(PyExc_TypeError, text); return NULL; }
#define RUNNING(result) Table *t = running(); if (!t) return Py_NewRef(result)
#define FAST(name) static PyObject *name(PyObject *module, PyObject *const *args, Py_ssize_t nargs)

FAST(h_add) { (void)module; NEED(3, "add(result, left, right)"); RUNNING(args[0]);
    PyObject *out = do_add(t, args[0], args[1], args[2]); Py_DECREF(t); return out; }

static PyObject *binary_slow(const char *name, Table *t, PyObject *r, PyObject *a, PyObject *b, int deep) {
    if (!is_text(r) || !(find(t, a) || (deep ? tainted(t, b) : find(t, b) != NULL))) return Py_NewRef(r);
    PyObject *both[2] = {a, b};
    return slow_named(name, t, r, both, 2);
}
FAST(h_mul) { (void)module; NEED(3, "mul(result, left, right)"); RUNNING(args[0]);
    PyObject *out = binary_slow("mul", t, args[0], args[1], args[2], 0); Py_DECREF(t); return out; }
FAST(h_mod) { (void)module; NEED(3, "mod(result, left, right)"); RUNNING(args[0]);
    PyObject *out = binary_slow("mod", t, args[0], args[1], args[2], 1); Py_DECREF(t); return out; }
FAST(h_item) { (void)module; NEED(3, "item(result, value, key)"); RUNNING(args[0]);
    PyObject *out = do_item(t, args[0], args[1], args[2]); Py_DECREF(t); return out; }
FAST(h_part) { (void)module; NEED(5, "part(result, value, start, stop, step)"); RUNNING(args[0]);
    PyObject *out;
    if (!find(t, args[1])) out = Py_NewRef(args[0]);
    else {
        PyObject *key = PySlice_New(args[2], args[3], args[4]);
        out = key ? do_item(t, args[0], args[1], key) : failed("part", args[0]);
        Py_XDECREF(key);
    }
    Py_DECREF(t); return out; }
FAST(h_fstr) { (void)module; NEED(1, "fstr(result, *pieces)"); RUNNING(args[0]);
    PyObject *out = do_fstr(t, args[0], args + 1, nargs - 1); Py_DECREF(t); return out; }

static PyObject *method_key(PyObject *name) { return PyUnicode_FromFormat(".%U", name); }

static PyObject *do_meth(Table *t, PyObject *r, PyObject *name, PyObject *self, PyObject *const *args, Py_ssize_t n) {
    int any = find(t, self) != NULL || Py_TYPE(self) == g_match;
    int joining = name == s_join;
    if (!any && !joining)
        for (Py_ssize_t i = 0; !any && i < n; i++) any = !plain(args[i]) && tainted(t, args[i]);
    if (!any && !joining) return Py_NewRef(r);
    PyObject *out = NULL, *tuple = NULL, *key = NULL;
    if (joining && n == 1 && (PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])) && is_text(self)) {
        tuple = PyTuple_Pack(1, args[0]);
        PyObject *a[3] = {self, tuple, Py_None};
        out = tuple ? do_join(t, r, self, args[0], a) : failed("join", r);
        Py_XDECREF(tuple);
        return out;
    }
    if (!any) {
        for (Py_ssize_t i = 0; !any && i < n; i++) any = find(t, args[i]) != NULL;
        if (!any) return Py_NewRef(r);
    }
    tuple = PyTuple_New(n);
    key = method_key(name);
    if (tuple && key) {
        for (Py_ssize_t i = 0; i < n; i++) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        PyObject *a[3] = {self, tuple, Py_None};
        out = slow_call(key, t, r, a, 3);
    }
    Py_XDECREF(tuple);
    Py_XDECREF(key);
    return out ? out : failed("method", r);
}

FAST(h_meth) { (void)module; NEED(3, "meth(result, name, receiver, *args)"); RUNNING(args[0]);
    PyObject *out = do_meth(t, args[0], args[1], args[2], args + 3, nargs - 3); Py_DECREF(t); return out; }

static PyObject *do_methk(Table *t, PyObject *r, PyObject *name, PyObject *self, PyObject *args, PyObject *kw) {
    int any = find(t, self) != NULL || Py_TYPE(self) == g_match;
    for (Py_ssize_t i = 0; !any && i < PyTuple_GET_SIZE(args); i++) any = tainted(t, PyTuple_GET_ITEM(args, i));
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (!any && PyDict_Next(kw, &at, &key, &value)) any = tainted(t, value);
    if (!any) return Py_NewRef(r);
    PyObject *full = method_key(name);
    PyObject *a[3] = {self, args, kw};
    PyObject *out = full ? slow_call(full, t, r, a, 3) : failed("method", r);
    Py_XDECREF(full);
    return out;
}
FAST(h_methk) { (void)module; NEED(5, "methk(result, name, receiver, args, keywords)");
    if (!PyTuple_Check(args[3]) || !PyDict_Check(args[4])) { PyErr_SetString(PyExc_TypeError, "methk needs a tuple and a dict"); return NULL; }
    RUNNING(args[0]);
    PyObject *out = do_methk(t, args[0], args[1], args[2], args[3], args[4]); Py_DECREF(t); return out; }

FAST(h_call) { (void)module; NEED(2, "call(result, name, *args)"); RUNNING(args[0]);
    PyObject *out = NULL;
    for (Py_ssize_t i = 2; !out && i < nargs; i++)
        if (!plain(args[i]) && tainted(t, args[i])) out = slow_call(args[1], t, args[0], args + 2, nargs - 2);
    Py_DECREF(t);
    return out ? out : PyErr_Occurred() ? NULL : Py_NewRef(args[0]); }

FAST(h_cmp) { (void)module; NEED(4, "cmp(result, op, left, right)"); RUNNING(args[0]);
    PyObject *out = find(t, args[2]) || find(t, args[3]) ? slow_named("cmp", t, args[0], args + 1, 3) : Py_NewRef(args[0]);
    Py_DECREF(t); return out; }

static PyObject *h_loop(PyObject *module, PyObject *value) {
    (void)module;
    if (!PyUnicode_CheckExact(value)) return Py_NewRef(value);
    RUNNING(value);
    PyObject *out;
    if (!find(t, value)) out = Py_NewRef(value);
    else {
        PyObject *name = PyUnicode_InternFromString("loop"), *function = name ? PyDict_GetItemWithError(g_slow, name) : NULL;
        out = function ? PyObject_CallFunctionObjArgs(function, (PyObject *)t, value, NULL) : NULL;
        Py_XDECREF(name);
        if (!out) out = failed("loop", value);
    }
    Py_DECREF(t);
    return out;
}

static PyObject *h_seq(PyObject *module, PyObject *value) {
    (void)module;
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value) || PyUnicode_CheckExact(value) || PyBytes_CheckExact(value)) return Py_NewRef(value);
    if (!Py_TYPE(value)->tp_iter) return Py_NewRef(value);
    return PySequence_List(value);
}

/* ---- operation and hook in one ------------------------------------------------------------------------------------------------- */

/* Take over the reference of `r`, give back what the hook made of it. */
#define AFTER(call) Table *t = running(); if (t) { PyObject *out = (call); Py_DECREF(t); Py_DECREF(r); return out; } return r

FAST(o_add) { (void)module; NEED(2, "oadd(left, right)"); PyObject *r = PyNumber_Add(args[0], args[1]); if (!r) return NULL;
    AFTER(do_add(t, r, args[0], args[1])); }
FAST(o_mod) { (void)module; NEED(2, "omod(left, right)"); PyObject *r = PyNumber_Remainder(args[0], args[1]); if (!r) return NULL;
    AFTER(binary_slow("mod", t, r, args[0], args[1], 1)); }
FAST(o_mul) { (void)module; NEED(2, "omul(left, right)"); PyObject *r = PyNumber_Multiply(args[0], args[1]); if (!r) return NULL;
    AFTER(binary_slow("mul", t, r, args[0], args[1], 0)); }
FAST(i_add) { (void)module; NEED(2, "iadd(left, right)");
    if (PyByteArray_CheckExact(args[0])) {
        Py_ssize_t size = PyByteArray_GET_SIZE(args[0]);
        PyObject *r = PyNumber_InPlaceAdd(args[0], args[1]);
        Table *t = r ? running() : NULL;
        if (!t) return r;
        Entry *one = find(t, args[0]), *two = find(t, args[1]);
        if (one || two) {
            Build build;
            build_start(&build);
            Py_ssize_t more = text_length(args[1]);
            PyObject *out = NULL;
            if (!((one && build_clip(&build, one, 0, size, 0) < 0) || (two && more >= 0 && build_clip(&build, two, 0, more, size) < 0)))
                out = put(t, r, &build, op_plus, args, 2, -1);
            build_end(&build);
            if (!out) out = failed("iadd", r);
            Py_DECREF(r);
            r = out;
        }
        Py_DECREF(t);
        return r;
    }
    PyObject *r = PyNumber_InPlaceAdd(args[0], args[1]); if (!r) return NULL;
    AFTER(do_add(t, r, args[0], args[1])); }
FAST(i_mod) { (void)module; NEED(2, "imod(left, right)"); PyObject *r = PyNumber_InPlaceRemainder(args[0], args[1]); if (!r) return NULL;
    AFTER(binary_slow("mod", t, r, args[0], args[1], 1)); }
FAST(i_mul) { (void)module; NEED(2, "imul(left, right)"); PyObject *r = PyNumber_InPlaceMultiply(args[0], args[1]); if (!r) return NULL;
    AFTER(binary_slow("mul", t, r, args[0], args[1], 0)); }
FAST(o_item) { (void)module; NEED(2, "oitem(value, key)"); PyObject *r = PyObject_GetItem(args[0], args[1]); if (!r) return NULL;
    AFTER(do_item(t, r, args[0], args[1])); }
FAST(o_fstr) { (void)module; PyObject *nothing = PyUnicode_New(0, 0), *tuple = PyTuple_New(nargs), *r = NULL;
    if (nothing && tuple) {
        for (Py_ssize_t i = 0; i < nargs; i++) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        r = PyUnicode_Join(nothing, tuple);
    }
    Py_XDECREF(nothing); Py_XDECREF(tuple);
    if (!r) return NULL;
    AFTER(do_fstr(t, r, args, nargs)); }
FAST(o_call) { (void)module; NEED(2, "ocall(name, function, *args)");
    PyObject *r = PyObject_Vectorcall(args[1], args + 2, (size_t)(nargs - 2), NULL);
    if (!r) return NULL;
    Table *t = running();
    if (!t) return r;
    for (Py_ssize_t i = 2; i < nargs; i++)
        if (!plain(args[i]) && tainted(t, args[i])) {
            PyObject *out = slow_call(args[0], t, r, args + 2, nargs - 2);
            Py_DECREF(r);
            r = out;
            break;
        }
    Py_DECREF(t);
    return r; }
static PyObject *o_meth(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    (void)module;
    NEED(2, "ometh(name, receiver, *args, **keywords)");
    Py_ssize_t nkw = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject *r = PyObject_VectorcallMethod(args[0], args + 1, (size_t)(nargs - 1), names);
    if (!r) return NULL;
    Table *t = running();
    if (!t) return r;
    PyObject *out = NULL;
    if (!nkw) out = do_meth(t, r, args[0], args[1], args + 2, nargs - 2);
    else {
        PyObject *tuple = PyTuple_New(nargs - 2), *kw = PyDict_New();
        int bad = !tuple || !kw;
        for (Py_ssize_t i = 0; !bad && i < nargs - 2; i++) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i + 2]));
        for (Py_ssize_t i = 0; !bad && i < nkw; i++) bad = PyDict_SetItem(kw, PyTuple_GET_ITEM(names, i), args[nargs + i]) < 0;
        out = bad ? failed("method", r) : do_methk(t, r, args[0], args[1], tuple, kw);
        Py_XDECREF(tuple); Py_XDECREF(kw);
    }
    Py_DECREF(t);
    Py_DECREF(r);
    return out;
}
FAST(o_cmp) { (void)module; NEED(3, "ocmp(op, left, right)");
    long op = PyLong_AsLong(args[0]);
    PyObject *r;
    if (op <= 1) {
        int in = PySequence_Contains(args[2], args[1]);
        if (in < 0) return NULL;
        r = PyBool_FromLong(op ? !in : in);
    } else r = PyObject_RichCompare(args[1], args[2], op == 2 ? Py_EQ : Py_NE);
    if (!r) return NULL;
    AFTER(find(t, args[1]) || find(t, args[2]) ? slow_named("cmp", t, r, args, 3) : Py_NewRef(r)); }

/* ---- module -------------------------------------------------------------------------------------------------------------------- */

static PyObject *m_setup(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *current, *slow, *on_error, *prefix, *match, *formatted, *builtins;
    if (!PyArg_ParseTuple(args, "OO!OUO!O!O!", &current, &PyDict_Type, &slow, &on_error, &prefix, &PyType_Type, &match, &PyType_Type, &formatted,
                          &PyDict_Type, &builtins))
        return NULL;
    if (!PyContextVar_CheckExact(current)) { PyErr_SetString(PyExc_TypeError, "the first argument is a ContextVar"); return NULL; }
    if (PyDict_SetItem(builtins, s_px_on, g_live > 0 ? Py_True : Py_False) < 0) return NULL;
    Py_INCREF(builtins); Py_XSETREF(g_builtins, builtins);
    Py_INCREF(current); Py_XSETREF(g_current, current);
    Py_INCREF(slow); Py_XSETREF(g_slow, slow);
    Py_INCREF(on_error); Py_XSETREF(g_on_error, on_error);
    Py_INCREF(prefix); Py_XSETREF(g_prefix, prefix);
    Py_INCREF(match); Py_XSETREF(g_match, (PyTypeObject *)match);
    Py_INCREF(formatted); Py_XSETREF(g_formatted, (PyTypeObject *)formatted);
    Py_RETURN_NONE;
}
static PyObject *m_copy(PyObject *module, PyObject *o) { (void)module; return fresh_copy(o); }
static PyObject *m_live(PyObject *module, PyObject *x) { (void)module; (void)x; return PyLong_FromSsize_t(g_live); }

#define F(name, function) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, NULL}
static PyMethodDef functions[] = {
    {"setup", m_setup, METH_VARARGS, "Give the module what it shares with its twin."},
    {"copy", m_copy, METH_O, "An equal str or bytes with an identity of its own."},
    {"live", m_live, METH_NOARGS, "How many tables hold taint now."},
    F("add", h_add), F("mul", h_mul), F("mod", h_mod), F("item", h_item), F("part", h_part), F("fstr", h_fstr), F("meth", h_meth),
    F("methk", h_methk), F("call", h_call), F("cmp", h_cmp), {"loop", h_loop, METH_O, NULL}, {"seq", h_seq, METH_O, NULL},
    F("oadd", o_add), F("omod", o_mod), F("omul", o_mul), F("iadd", i_add), F("imod", i_mod), F("imul", i_mul), F("oitem", o_item),
    F("ofstr", o_fstr), F("ocall", o_call), F("ocmp", o_cmp),
    {"ometh", (PyCFunction)(void (*)(void))o_meth, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "phalanx_app.taint._native", "The taint table and the hot hooks.", -1, functions,
                                        NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) {
    if (PyType_Ready(&TableType) < 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    g_on = PyList_New(0);
    s_value = PyUnicode_InternFromString("value");
    s_px_on = PyUnicode_InternFromString("__px_on__");
    s_join = PyUnicode_InternFromString("join");
    op_plus = PyUnicode_InternFromString("+");
    op_item = PyUnicode_InternFromString("[]");
    op_slice = PyUnicode_InternFromString("[:]");
    op_join = PyUnicode_InternFromString("join");
    op_fstr = PyUnicode_InternFromString("f''");
    if (!g_on || !s_value || !s_px_on || !s_join || !op_plus || !op_item || !op_slice || !op_join || !op_fstr ||
        PyModule_AddObject(module, "ON", Py_NewRef(g_on)) < 0 || PyModule_AddObject(module, "Table", Py_NewRef((PyObject *)&TableType)) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
