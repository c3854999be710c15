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
    delete Array.fromAsync;
    delete Object.groupBy;
    delete Map.groupBy;

    // Built-in functions that walk an array by its length: `Array(4e9)` has one, and nothing in it.
    function isShort(list) {
        if (list === null || typeof list !== 'object' && typeof list !== 'function') {
            return;
        }
        let { length } = list;
        if (!isArray(list)) {
            // One that is computed could be another when it is read again.
            const own = getOwnPropertyDescriptor(list, 'length');
            length = own === undefined ? length : own.value;
            if (length !== null && typeof length === 'object' || own !== undefined && !('value' in own)) {
                throw new RangeError('the length is computed');
            }
        }
        if (length > longest) {
            throw new RangeError(`an array of ${length} is too long`);
        }
    }
    const arrays = Array.prototype;
    for (const name of ownKeys(arrays)) {
        const original = arrays[name];
        if (typeof original !== 'function' || typeof name === 'symbol'
            || ['constructor', 'at', 'push', 'pop', 'keys', 'values', 'entries'].includes(name)) {
            continue;
        }
        const guarded = {
            [name](...given) {
                isShort(this);
                if (name === 'concat' || name === 'flat') {
                    for (const list of name === 'concat' ? given : isArray(this) ? this : []) {
                        if (isArray(list) || Object(list) === list && Symbol.isConcatSpreadable in list) {
                            isShort(list);
                        }
                    }
                }
                return apply(original, this, given);
            },
        }[name];
        fix(guarded, 'length', original.length);
        replace(arrays, name, guarded);
    }
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

    // Searches take the product of two lengths.
    const texts = String.prototype;
    for (const name of ['indexOf', 'lastIndexOf', 'includes', 'split', 'replace', 'replaceAll']) {
        const original = texts[name];
        const guarded = {
            [name](sought, ...given) {
                if (typeof this === 'string' && typeof sought === 'string' && this.length * sought.length > 1e9) {
                    throw new RangeError(`a search for ${sought.length} in ${this.length} characters is too long`);
                }
                return apply(original, this, arguments.length === 0 ? [] : [sought, ...given]);
            },
        }[name];
        fix(guarded, 'length', original.length);
        replace(texts, name, guarded);
    }

    // What an object other than a plain one or an array is for whoever gets it.
    const { getTime, toISOString } = OnceDate.prototype;
    const { forEach: forEachOfMap } = Map.prototype;
    const { forEach: forEachOfSet } = Set.prototype;
    const boxes = [Number, String, Boolean].map((box) => box.prototype.valueOf);
    const views = getPrototypeOf(Uint8Array.prototype);
    const { get: viewed } = getOwnPropertyDescriptor(views, Symbol.toStringTag);
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
            return apply(toISOString, object, []).replace(/\.?0*Z$/, 'Z');
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
        }
    });
    const frozen = new WeakSet();
    const reached = [world, iterators, views, getPrototypeOf(function* () {}), getPrototypeOf(async function () {}),
        getPrototypeOf(async function* () {}), getPrototypeOf(new Map()[Symbol.iterator]()),
        getPrototypeOf(new Set()[Symbol.iterator]()), getPrototypeOf(''[Symbol.iterator]()),
        getPrototypeOf([][Symbol.iterator]()), getPrototypeOf(/x/[Symbol.matchAll]('')), OnceDate, OnceSet];
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
