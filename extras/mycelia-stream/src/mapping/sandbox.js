// Closes the global world before the first expression is compiled in it, and hands the host three functions.
//
// What is here runs once; no expression can reach a name of this function. `longest` is how long arrays may be that a built-in
// function walks: it looks at no clock meanwhile.
(function (longest) {
    'use strict';
    const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, create, isExtensible } = Object;
    const { apply, construct, ownKeys } = Reflect;
    const { isArray, from } = Array;
    const { toWellFormed } = String.prototype;
    const world = globalThis;

    function fix(object, name, value) {
        defineProperty(object, name, { value, writable: false, enumerable: false, configurable: false });
    }

    function replace(object, name, value) {
        defineProperty(object, name, { value, writable: true, enumerable: false, configurable: true });
    }

    // The clock and chance: whoever looks at them has another value each time.
    let looked = false;
    const { now, UTC, parse } = Date;
    const { random } = Math;
    const OnceDate = Date;
    function WatchedDate(...given) {
        looked ||= !new.target || given.length === 0;
        return new.target ? construct(OnceDate, given, new.target) : OnceDate();
    }
    fix(WatchedDate, 'name', 'Date');
    fix(WatchedDate, 'length', 7);
    fix(WatchedDate, 'prototype', OnceDate.prototype);
    replace(WatchedDate, 'UTC', UTC);
    replace(WatchedDate, 'parse', parse);
    replace(WatchedDate, 'now', { now() { looked = true; return now(); } }.now);
    replace(OnceDate.prototype, 'constructor', WatchedDate);
    replace(world, 'Date', WatchedDate);
    replace(Math, 'random', { random() { looked = true; return random(); } }.random);

    // Names that throw when they are called. They stay functions, as their use is no error before.
    for (const name of [
        'eval', 'Function', 'require', 'module', 'exports', '__dirname', '__filename', 'global', 'globalThis', 'process',
        'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'console',
        '__proto__', '__defineGetter__', '__defineSetter__', '__lookupGetter__', '__lookupSetter__', 'constructor',
        'import', 'importScripts', 'Reflect', 'Proxy', 'defineProperty', 'getOwnPropertyDescriptor', 'getPrototypeOf',
        'setPrototypeOf', 'escape', 'unescape',
    ]) {
        fix(world, name, denied(name));
    }

    function denied(name) {
        return { [name]() { throw new TypeError(`${name} is disabled for security reasons`); } }[name];
    }

    // The ways from a function to those that compile text.
    for (const some of [function () {}, function* () {}, async function () {}, async function* () {}]) {
        fix(getPrototypeOf(some), 'constructor', denied('Function'));
    }

    // What is newer than the ancestor's engine, and walks iterators without a look at the clock, or waits.
    for (const name of [
        'Atomics', 'SharedArrayBuffer', 'Iterator', 'WeakRef', 'FinalizationRegistry', 'queueMicrotask', 'performance',
        'navigator', 'DOMException', 'gc',
    ]) {
        delete world[name];
    }
    const iterators = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));
    for (const key of ownKeys(iterators)) {
        if (key !== Symbol.iterator) {
            delete iterators[key];
        }
    }
    for (const name of ownKeys(Set.prototype)) {
        if (/^(union|intersection|difference|symmetricDifference|is\w+)$/.test(typeof name === 'string' ? name : '')) {
            delete Set.prototype[name];
        }
    }
    // These are kept by the engine itself, whatever is frozen.
    delete Error.prepareStackTrace;
    delete Error.stackTraceLimit;
    delete Error.captureStackTrace;
    delete Array.fromAsync;
    delete Object.groupBy;
    delete Map.groupBy;

    // Built-in functions that walk an array by its length: `Array(4e9)` has one, and nothing in it. A length that is computed could be
    // another when it is read again, and each element that is missing is looked for in all prototypes.
    const views = getPrototypeOf(Uint8Array.prototype);
    const { get: viewed } = getOwnPropertyDescriptor(views, Symbol.toStringTag);
    function isShort(list) {
        if (Object(list) !== list || apply(viewed, list, []) !== undefined) {
            return;
        }
        let length;
        let prototypes = 0;
        for (let object = list; object !== null; object = getPrototypeOf(object)) {
            const own = length === undefined ? getOwnPropertyDescriptor(object, 'length') : undefined;
            if (own !== undefined) {
                length = own.value === undefined ? NaN : own.value;
            }
            if (++prototypes > 100) {
                throw new RangeError('there are too many prototypes');
            }
        }
        if (Object(length) === length || length !== length) {
            throw new RangeError('the length is computed');
        }
        if (length > longest) {
            throw new RangeError(`an array of ${length} is too long`);
        }
    }
    function guard(prototype, name, guarded) {
        const own = getOwnPropertyDescriptor(prototype, name);
        fix(guarded, 'length', own.value.length);
        replace(prototype, name, guarded);
    }
    const arrays = Array.prototype;
    for (const name of ownKeys(arrays)) {
        const original = arrays[name];
        if (typeof original === 'function' && typeof name === 'string'
            && !['constructor', 'at', 'push', 'pop', 'keys', 'values', 'entries'].includes(name)) {
            guard(arrays, name, { [name](...given) { isShort(this); return apply(original, this, given); } }[name]);
        }
    }
    // These walk several arrays: here, step by step.
    const { trunc } = Math;
    function pour(from, level, into) {
        isShort(from);
        for (let at = 0; at < from.length; at++) {
            if (at in from) {
                const item = from[at];
                if (level > 0 && isArray(item)) {
                    pour(item, level - 1, into);
                } else {
                    into[into.length] = item;
                }
            }
        }
        return into;
    }
    guard(arrays, 'flat', {
        flat(depth) { return pour(Object(this), depth === undefined ? 1 : trunc(depth), []); },
    }.flat);
    guard(arrays, 'flatMap', {
        flatMap(made, self) {
            const from = Object(this);
            isShort(from);
            const into = [];
            for (let at = 0; at < from.length; at++) {
                if (at in from) {
                    const item = apply(made, self, [from[at], at, from]);
                    if (isArray(item)) {
                        pour(item, 0, into);
                    } else {
                        into[into.length] = item;
                    }
                }
            }
            return into;
        },
    }.flatMap);
    guard(arrays, 'concat', {
        concat(...given) {
            const into = [];
            let end = 0;
            for (const list of [Object(this), ...given]) {
                const isList = Object(list) === list && (list[Symbol.isConcatSpreadable] ?? isArray(list));
                if (!isList) {
                    into[end++] = list;
                    continue;
                }
                isShort(list);
                const { length } = list;
                for (let at = 0; at < length; at++, end++) {
                    if (at in list) {
                        into[end] = list[at];
                    }
                }
            }
            into.length = end;
            return into;
        },
    }.concat);
    guard(String, 'raw', {
        raw(strings, ...given) {
            const { raw } = strings;
            isShort(raw);
            let text = '';
            for (let at = 0; at < raw.length; at++) {
                text += `${raw[at]}`;
                if (at + 1 < raw.length && at < given.length) {
                    text += `${given[at]}`;
                }
            }
            return text;
        },
    }.raw);
    const { stringify } = JSON;
    replace(JSON, 'stringify', {
        stringify(value, replacer, space) {
            isShort(isArray(replacer) ? replacer : []);
            return stringify(value, replacer, space);
        },
    }.stringify);
    const OnceSet = Set;
    const { add } = Set.prototype;
    function WalkedSet(items) {
        if (!new.target) {
            throw new TypeError('Set must be called with new');
        }
        const set = construct(OnceSet, [], new.target);
        if (items !== undefined && items !== null) {
            for (const item of items) {
                apply(add, set, [item]);
            }
        }
        return set;
    }
    fix(WalkedSet, 'name', 'Set');
    fix(WalkedSet, 'length', 0);
    fix(WalkedSet, 'prototype', OnceSet.prototype);
    defineProperty(WalkedSet, Symbol.species, getOwnPropertyDescriptor(OnceSet, Symbol.species));
    replace(OnceSet.prototype, 'constructor', WalkedSet);
    replace(world, 'Set', WalkedSet);

    // Searches take the product of two lengths, and marks are put in order by comparing each to those before.
    const texts = String.prototype;
    function methodOf(sought, symbol) {
        return sought === undefined || sought === null ? undefined : sought[symbol] ?? undefined;
    }
    // What searches itself is asked to, here: the engine would read the method again, and a getter could answer differently.
    function searched(sought, method, isForAll, given) {
        if (isForAll && Object(sought) === sought && sought[Symbol.match] && !`${sought.flags}`.includes('g')) {
            throw new TypeError("regexp must have the 'g' flag");
        }
        return apply(method, sought, given);
    }
    for (const [name, symbol] of [['indexOf'], ['lastIndexOf'], ['includes'], ['split', Symbol.split],
        ['replace', Symbol.replace], ['replaceAll', Symbol.replace]]) {
        const original = texts[name];
        guard(texts, name, {
            [name](...given) {
                const [sought] = given;
                if (this === undefined || this === null || sought === undefined) {
                    return apply(original, this, given);
                }
                if (symbol === undefined) {
                    if (name === 'includes' && Object(sought) === sought && sought[Symbol.match]) {
                        throw new TypeError('a pattern is not supported here');
                    }
                } else {
                    const method = methodOf(sought, symbol);
                    if (method !== undefined) {
                        return searched(sought, method, name === 'replaceAll', [this, given[1]]);
                    }
                }
                const text = `${this}`;
                given[0] = `${sought}`;
                if (text.length * given[0].length > 1e9) {
                    throw new RangeError(`a search for ${given[0].length} in ${text.length} characters is too long`);
                }
                return apply(original, text, given);
            },
        }[name]);
    }
    // To compare for people is to normalize both.
    function normalizable(text, isOther) {
        if (!isOther && (text === undefined || text === null)) {
            throw new TypeError('null or undefined are forbidden');
        }
        text = `${text}`;
        if (text.length > 20_000) {
            throw new RangeError(`a text of ${text.length} is too long to be normalized`);
        }
        return text;
    }
    const { localeCompare, normalize } = texts;
    guard(texts, 'normalize', {
        normalize(...given) { return apply(normalize, normalizable(this), given); },
    }.normalize);
    guard(texts, 'localeCompare', {
        localeCompare(other) { return apply(localeCompare, normalizable(this), [normalizable(other, true)]); },
    }.localeCompare);

    // To compile a pattern takes the square of its length.
    const OnceRegExp = RegExp;
    const { compile } = OnceRegExp.prototype;
    function short(pattern) {
        if (pattern.length > 10_000) {
            throw new RangeError(`a pattern of ${pattern.length} is too long`);
        }
        return pattern;
    }
    // Of a pattern, or a text, as texts.
    function sourceAndFlags(pattern, flags) {
        if (Object(pattern) === pattern && Symbol.match in pattern) {
            return [short(`${pattern.source}`), flags === undefined ? `${pattern.flags}` : flags];
        }
        return [pattern === undefined ? '' : short(`${pattern}`), flags];
    }
    function ShortRegExp(pattern, flags) {
        if (!new.target && flags === undefined && Object(pattern) === pattern && Symbol.match in pattern
            && pattern.constructor === ShortRegExp) {
            return pattern;
        }
        return construct(OnceRegExp, sourceAndFlags(pattern, flags), new.target ?? ShortRegExp);
    }
    for (const key of ownKeys(OnceRegExp)) {
        defineProperty(ShortRegExp, key, getOwnPropertyDescriptor(OnceRegExp, key));
    }
    replace(OnceRegExp.prototype, 'constructor', ShortRegExp);
    replace(world, 'RegExp', ShortRegExp);
    // These make another pattern of what may be none, with a constructor of its own choice. `source` is refused to what is none.
    const { get: sourceOf } = getOwnPropertyDescriptor(OnceRegExp.prototype, 'source');
    for (const key of [Symbol.split, Symbol.matchAll]) {
        const original = OnceRegExp.prototype[key];
        guard(OnceRegExp.prototype, key, {
            [key](...given) { apply(sourceOf, this, []); return apply(original, this, given); },
        }[key]);
    }
    guard(OnceRegExp.prototype, 'compile', {
        compile(pattern, flags) { return apply(compile, this, sourceAndFlags(pattern, flags)); },
    }.compile);
    for (const name of ['match', 'matchAll', 'search']) {
        const original = texts[name];
        guard(texts, name, {
            [name](sought) {
                if (this === undefined || this === null || sought === undefined) {
                    return apply(original, this, [sought]);
                }
                const method = methodOf(sought, Symbol[name]);
                return method === undefined
                    ? apply(original, this, [short(`${sought}`)])
                    : searched(sought, method, name === 'matchAll', [this]);
            },
        }[name]);
    }

    // What an object other than a plain one or an array is for whoever gets it.
    const { getTime, toISOString } = OnceDate.prototype;
    const { forEach: forEachOfMap } = Map.prototype;
    const { forEach: forEachOfSet } = Set.prototype;
    const boxes = [Number, String, Boolean].map((box) => box.prototype.valueOf);
    function is(method, value) {
        try {
            apply(method, value, [() => {}]);
            return true;
        } catch {
            return false;
        }
    }
    function plain(object) {
        const items = [];
        if (is(getTime, object)) {
            const text = apply(toISOString, object, []);
            if (text.length > 24) {
                throw new RangeError('a year has four digits');
            }
            return text.replace(/\.?0*Z$/, 'Z');
        } else if (is(forEachOfMap, object)) {
            apply(forEachOfMap, object, [(value, key) => { items[items.length] = [key, value]; }]);
            return items;
        } else if (is(forEachOfSet, object)) {
            apply(forEachOfSet, object, [(value) => { items[items.length] = value; }]);
            return items;
        } else if (apply(viewed, object, []) !== undefined) {
            return from(object);
        }
        for (const valueOf of boxes) {
            if (is(valueOf, object)) {
                return apply(valueOf, object, []);
            }
        }
        return object;
    }

    // All that can be reached stays as it is. What objects and errors are often given of their own, they can be given still.
    const given = new Map([
        [Object.prototype, ['toString', 'toLocaleString', 'valueOf', 'hasOwnProperty', 'constructor']],
        [Array.prototype, ['toString', 'constructor']],
        [getPrototypeOf(denied), ['toString']],
        ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]
            .map((error) => [error.prototype, ['name', 'message', 'toString', 'constructor']]),
    ]);
    const setters = new Set();
    given.forEach((names, prototype) => {
        for (const name of names) {
            const own = getOwnPropertyDescriptor(prototype, name);
            if (own === undefined || !own.configurable) {
                continue;
            }
            const { value } = own;
            defineProperty(prototype, name, {
                get: { [name]() { return value; } }[name],
                set: {
                    [name](another) {
                        if (this !== prototype && isExtensible(this)) {
                            defineProperty(this, name,
                                { value: another, writable: true, enumerable: true, configurable: true });
                        }
                    },
                }[name],
                enumerable: false,
                configurable: false,
            });
            setters.add(getOwnPropertyDescriptor(prototype, name).set);
        }
    });
    const frozen = new WeakSet();
    const reached = [world, iterators, views, getPrototypeOf(function* () {}), getPrototypeOf(async function () {}),
        getPrototypeOf(async function* () {}), getPrototypeOf(new Map()[Symbol.iterator]()),
        getPrototypeOf(new Set()[Symbol.iterator]()), getPrototypeOf(''[Symbol.iterator]()),
        getPrototypeOf([][Symbol.iterator]()), getPrototypeOf(/x/[Symbol.matchAll]('')), OnceDate, OnceSet,
        OnceRegExp];
    while (reached.length > 0) {
        const object = reached.pop();
        if (object === null || typeof object !== 'object' && typeof object !== 'function' || frozen.has(object)) {
            continue;
        }
        frozen.add(object);
        freeze(object);
        reached.push(getPrototypeOf(object));
        for (const key of ownKeys(object)) {
            const { value, get, set } = getOwnPropertyDescriptor(object, key);
            // Something that can be set could be seen by the next evaluation: but for what throws always (`caller`), and what sets
            // its receiver only.
            if (set !== undefined && set !== get && !['__proto__', 'stack'].includes(key) && !setters.has(set)) {
                throw new TypeError(`${String(key)} can be set`);
            }
            reached.push(value, get, set);
        }
    }

    return [
        // Whether the clock or chance was looked at since the last time.
        () => { const had = looked; looked = false; return had; },
        plain,
        // A text without halves of surrogate pairs.
        (text) => apply(toWellFormed, text, []),
    ];
})
