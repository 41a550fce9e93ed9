/** A Python literal: dict → Map, tuple and list → array, None → null. */
export type Literal = string | number | boolean | null | readonly Literal[] | ReadonlyMap<Literal, Literal>;

const TOKEN =
  /\s*(?:([{}[\]():,])|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(True|False|None)\b|(-?\d+)L?\b)/sy;
const NAMES = { True: true, False: false, None: null } as const;

/** Brackets within brackets; the header of an array of numbers has two. */
const DEEPEST = 16;

/** A token: punctuation by its sign, a value in a box. */
type Token = string | { readonly value: Literal };

/** @returns undefined where something stands in the text that is no token */
function tokensOf(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  for (let at = 0; at < end; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) return undefined;
    const [, sign, single, double, name, digits] = match;
    const quoted = single ?? double;
    if (sign !== undefined) tokens.push(sign);
    else if (quoted !== undefined) tokens.push({ value: quoted.replace(/\\(['"\\])/g, "$1") });
    else if (name !== undefined) tokens.push({ value: NAMES[name as keyof typeof NAMES] });
    else tokens.push({ value: Number(digits) });
  }
  return tokens;
}

/**
 * Reads a literal of Python: dicts, tuples, lists, strings, integers, booleans, None.
 * @returns undefined where the text is none
 */
export function parseLiteral(text: string): Literal | undefined {
  const tokens = tokensOf(text);
  if (!tokens) return undefined;
  let [at, depth] = [0, 0];
  const take = (sign: string) => tokens[at] === sign && ++at > 0;
  /** Items up to a closing sign; the last one may have a comma. */
  function items<T>(close: string, item: () => T | undefined): { list: T[]; comma: boolean } | undefined {
    const list: T[] = [];
    let comma = true;
    if (++depth > DEEPEST) return undefined;
    while (!take(close)) {
      if (!comma) return undefined;
      const one = item();
      if (one === undefined) return undefined;
      list.push(one);
      comma = take(",");
    }
    depth--;
    return { list, comma };
  }
  function pair(): readonly [Literal, Literal] | undefined {
    const key = value();
    if (key === undefined || !take(":")) return undefined;
    const of = value();
    return of === undefined ? undefined : [key, of];
  }
  function value(): Literal | undefined {
    if (take("{")) {
      const found = items("}", pair);
      return found && new Map(found.list);
    }
    if (take("[")) return items("]", value)?.list;
    if (take("(")) {
      const found = items(")", value);
      // (3) is the number 3, (3,) a tuple.
      return found?.list.length === 1 && !found.comma ? found.list[0] : found?.list;
    }
    const token = tokens![at++];
    return typeof token === "object" ? token.value : undefined;
  }
  const found = value();
  return at === tokens.length ? found : undefined;
}
