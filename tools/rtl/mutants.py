# SPDX-License-Identifier: Apache-2.0
"""Small changes of SystemVerilog, one at a time, all in one text.

Every changed expression becomes `(sl_mutant_pkg::number == N ? changed : original)`: one build holds them all, and the number
chooses. Changed are literals (+1, -1), operators, negations and conditions, in the right sides of assignments, in conditions,
arguments and connections. Not changed are what must be constant: ranges, widths, parameters, loops, labels of cases.
"""
import re

TOKEN = re.compile(r"""
    (?P<space>`ifdef\s+SL_DPI.*?`else|\s+|//[^\n]*|/\*.*?\*/|`[^\n]*|\(\*\ [^\n]*?\*\))
  | (?P<string>"[^"]*")
  | (?P<number>\d*\s*'s?[bdhoBDHO]\s*[0-9a-fA-F_xXzZ?]+|'[01xz]\b|\d[\d_]*)
  | (?P<name>\$?[A-Za-z_][\w$]*(?:::[A-Za-z_]\w*)*)
  | (?P<op>>>>=?|<<<|>>|<<|===|!==|==|!=|<=|>=|&&|\|\||\+:|-:|\+\+|--|\+=|-=|\*\*|~\^|\^~|~&|~\||->|'\{|'|[-+*/%&|^~!<>?:=.,;()\[\]{}#@])
""", re.X | re.S)
BINARY = {"||": 1, "&&": 2, "|": 3, "^": 4, "~^": 4, "&": 5, "==": 6, "!=": 6, "===": 6, "!==": 6, "<": 7, "<=": 7, ">": 7,
          ">=": 7, "<<": 8, ">>": 8, "<<<": 8, ">>>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10, "**": 11}
SWAPS = {"+": ["-"], "-": ["+"], "*": ["+"], "&": ["|"], "|": ["&"], "^": ["|"], "<<": [">>"], ">>": ["<<"], ">>>": [">>"],
         "<": ["<=", ">"], "<=": ["<", ">="], ">": [">=", "<"], ">=": [">", "<="], "==": ["!="], "!=": ["=="], "&&": ["||"],
         "||": ["&&"]}
UNARY = set("!~-+&|^")


class NotUnderstood(Exception):
    """An expression of a kind that this parser does not know; it stays as it is."""


class Token:
    def __init__(self, kind, text, start):
        self.kind, self.text, self.start, self.end = kind, text, start, start + len(text)


def tokens_of(text):
    out, at = [], 0
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise SystemExit(f"cannot read: {text[at:at + 40]!r}")
        if m.lastgroup != "space":
            out.append(Token(m.lastgroup, m.group(), at))
        at = m.end()
    return out


def neighbours(literal):
    """The literals one above and one below."""
    m = re.fullmatch(r"(\d*)\s*'(s?)([bdho])([0-9a-fA-F_]+)", literal)
    if literal in ("'0", "'1"):
        return ["'1" if literal == "'0" else "'0"]
    if re.fullmatch(r"\d[\d_]*", literal):
        value = int(literal.replace("_", ""))
        return [str(value + 1)] + ([str(value - 1)] if value else [])
    if not m or not m.group(1):
        return []
    width, base = int(m.group(1)), {"b": 2, "d": 10, "h": 16, "o": 8}[m.group(3).lower()]
    value = int(m.group(4).replace("_", ""), base)
    top = 1 << width
    return [f"{width}'{m.group(2)}h{v:x}" for v in sorted({(value + 1) % top, (value - 1) % top} - {value})]


class Mutator:
    """Walks one file; `choose(id)` returns a number for a mutant that shall be in the text, or None."""

    def __init__(self, name, text, choose):
        self.name, self.text, self.choose = name, text, choose
        self.tokens, self.at = tokens_of(text), 0
        self.edits, self.mutants, self.skipped = [], [], 0

    # ---- tokens
    def peek(self, ahead=0):
        i = self.at + ahead
        return self.tokens[i].text if i < len(self.tokens) else ""

    def kind(self):
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def take(self, text=None):
        if text is not None and self.peek() != text:
            raise NotUnderstood(self.peek())
        self.at += 1
        return self.tokens[self.at - 1]

    def plain(self, first, last):
        """Source text of tokens first .. last - 1."""
        return self.text[self.tokens[first].start:self.tokens[last - 1].end] if last > first else ""

    # ---- expressions: each returns the text with its mutants
    def mutate(self, first, original, changes):
        """original: the text of the tokens from first on, with the mutants inside."""
        source = self.plain(first, self.at)
        line = self.text.count("\n", 0, self.tokens[first].start) + 1
        for what, changed in changes:
            ident = (self.name, line, self.tokens[first].start, what, source)
            number = self.choose(ident)
            if number is not None:
                original = f"(sl_mutant_pkg::number == {number} ? ({changed}) : ({original}))"
            self.mutants.append((number, ident))
        return original

    def expression(self, level=0):
        first = self.at
        left = self.unary()
        while self.peek() in BINARY and BINARY[self.peek()] > level:
            left_end = self.at
            op = self.take().text
            right_first = self.at
            right = self.expression(BINARY[op])
            a, b = self.plain(first, left_end), self.plain(right_first, self.at)
            changes = [(f"{op} becomes {new}", f"{a} {new} {b}") for new in SWAPS.get(op, [])]
            left = self.mutate(first, f"{left} {op} {right}", changes)
        if level == 0 and self.peek() == "?":
            condition_end = self.at
            self.take()
            yes_first = self.at
            yes = self.expression()
            yes_end = self.at
            self.take(":")
            no_first = self.at
            no = self.expression()
            swapped = f"{self.plain(first, condition_end)} ? {self.plain(no_first, self.at)} : {self.plain(yes_first, yes_end)}"
            left = self.mutate(first, f"{left} ? {yes} : {no}", [("arms of ?: swapped", swapped)])
        return left

    def unary(self):
        first = self.at
        if self.kind() == "op" and self.peek() in UNARY:
            op = self.take().text
            inner_first = self.at
            inner = self.unary()
            bare = self.plain(inner_first, self.at)
            changes = {"!": [("! dropped", f"({bare}) != 0")], "~": [("~ dropped", bare)], "-": [("- dropped", bare)],
                       "&": [("& becomes |", f"|{bare}")], "|": [("| becomes &", f"&{bare}")]}.get(op, [])
            return self.mutate(first, f"{op}{inner}", changes)
        return self.primary()

    def primary(self):
        first = self.at
        kind, text = self.kind(), self.peek()
        if kind == "number":
            self.take()
            if self.peek() == "'":  # a cast: its width is constant
                self.take()
                self.take("(")
                inner = self.expression()
                self.take(")")
                return f"{text}'({inner})"
            return self.mutate(first, text, [(f"{text} becomes {n}", n) for n in neighbours(text)])
        if text == "(":
            self.take()
            inner = self.expression()
            self.take(")")
            return f"({inner})" + self.selects()
        if text == "{":
            return self.concatenation()
        if kind == "name":
            self.take()
            if self.peek() == "'":
                self.take()
                self.take("(")
                inner = self.expression()
                self.take(")")
                return f"{text}'({inner})"
            if self.peek() == "(":
                self.take()
                arguments = []
                while self.peek() != ")":
                    arguments.append(self.expression())
                    if self.peek() == ",":
                        self.take()
                self.take(")")
                return f"{text}({', '.join(arguments)})"
            return text + self.selects()
        raise NotUnderstood(text)

    def concatenation(self):
        self.take("{")
        first, n_mutant = self.at, len(self.mutants)
        part = self.expression()
        if self.peek() == "{":  # replication: the count is constant
            del self.mutants[n_mutant:]
            count = self.plain(first, self.at)
            inner = self.concatenation()
            self.take("}")
            return "{" + count + inner + "}"
        parts = [part]
        while self.peek() == ",":
            self.take()
            parts.append(self.expression())
        self.take("}")
        return "{" + ", ".join(parts) + "}" + self.selects()

    def selects(self):
        out = ""
        while self.peek() in ("[", "."):
            if self.peek() == ".":
                self.take()
                out += "." + self.take().text
                continue
            self.take()
            first, n_mutant = self.at, len(self.mutants)
            index = self.expression()
            plain = self.plain(first, self.at)
            n_index, n_index_end = len(self.mutants), self.at
            if self.peek() in ("+:", "-:", ":"):
                how = self.take().text
                width_first = self.at
                self.expression()
                del self.mutants[n_index:]
                # Ranges are constant, and so is an index that is nothing but a constant or a position of a field.
                varies = how != ":" and not self.is_constant(first, n_index_end)
                out += f"[{index if varies else plain}{how}{self.plain(width_first, self.at)}]"
            else:
                varies = not self.is_constant(first, n_index_end)
                out += f"[{index if varies else plain}]"
            if not varies:
                del self.mutants[n_mutant:]
            self.take("]")
        return out

    def is_constant(self, first, end):
        """Only literals, names in capitals and loop variables in tokens first .. end - 1."""
        names = [t.text for t in self.tokens[first:end] if t.kind == "name"]
        return all(re.fullmatch(r"(\w+::)?[A-Z][A-Z0-9_]*", n) for n in names) or "i" in names or "j" in names

    # ---- the rest of the language
    def region(self, stop, condition=False):
        """An expression up to the token `stop`; on failure the cursor stands there all the same."""
        first, n_mutant = self.at, len(self.mutants)
        try:
            text = self.expression()
            self.take(stop)
            self.at -= 1
            if condition:
                text = self.mutate(first, text, [("condition negated", f"!({self.plain(first, self.at)})")])
        except (NotUnderstood, IndexError):
            self.skipped += 1
            del self.mutants[n_mutant:]
            self.at = first
            depth = 0
            while self.at < len(self.tokens) and (depth or self.peek() != stop):
                depth += (self.peek() in ("(", "[", "{", "'{")) - (self.peek() in (")", "]", "}"))
                self.at += 1
            return
        if text != self.plain(first, self.at):
            self.edits.append((self.tokens[first].start, self.tokens[self.at - 1].end, text))

    def skip_to(self, stop):
        depth = 0
        while depth or self.peek() != stop:
            if self.at >= len(self.tokens):
                raise SystemExit(f"{self.name}: no {stop} to the end")
            depth += (self.peek() in ("(", "[", "{", "'{")) - (self.peek() in (")", "]", "}"))
            self.at += 1
        self.at += 1

    def skip_parentheses(self):
        self.take("(")
        self.skip_to(")")

    def module(self):
        """The whole file. Functions that fill constant tables are evaluated by the tools and stay as they are."""
        in_process = False
        tables = {name for constant in re.findall(r"localparam[^;]*;", self.text) for name in re.findall(r"(\w+)\(", constant)}
        while self.at < len(self.tokens):
            text = self.peek()
            if text in ("parameter", "localparam", "typedef", "import", "genvar", "export"):
                self.skip_to(";")
            elif text in ("module", "package"):
                self.skip_to(";")
            elif text == "function":
                self.skip_to("(")
                table = self.tokens[self.at - 2].text in tables
                self.skip_to(")")
                in_process = True
                if table:
                    self.skip_to("endfunction")
                    in_process = False
            elif text == "endfunction":
                self.take()
                in_process = False
            elif text in ("generate", "endgenerate"):
                self.take()
                in_process = False
            elif text in ("always_ff", "always_comb", "always"):
                self.take()
                if self.peek() == "@":
                    self.take()
                    if self.peek() == "(":
                        self.skip_parentheses()
                    else:
                        self.take()
                in_process = True
            elif text in ("assign", "wire", "logic", "reg"):
                in_process = in_process and text != "assign" and text != "wire"
                self.take()
            elif text == "for":
                self.take()
                self.skip_parentheses()
            elif text == "if":
                self.take()
                if in_process:
                    self.take("(")
                    self.region(")", condition=True)
                else:
                    self.skip_parentheses()
            elif text == "case":
                self.take()
                self.take("(")
                self.region(")")
            elif text == "." and self.tokens[self.at + 1].kind == "name":
                self.at += 2
                if self.peek() == "(":
                    self.take()
                    if self.peek() != ")":
                        self.region(")")
            elif text == "#":
                self.take()
                if self.peek() == "(":
                    self.skip_parentheses()
            elif text == "[":
                self.take()
                self.skip_to("]")
            elif text in ("=", "<="):
                self.take()
                self.region(";")
            else:
                self.take()

    def result(self):
        self.module()
        out, at = [], 0
        for start, end, text in self.edits:
            out += [self.text[at:start], text]
            at = end
        return "".join(out) + self.text[at:]
