package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What expressions give: their JSON and their type.
func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, typ, want string }{
		{`trigger.body.title`, `string`, `"Hello"`},
		{`trigger.body.task.title`, `string or null`, `null`},
		{`trigger?.body?.task?.title`, `string or null`, `null`},
		{`trigger.body["title"]`, `string`, `"Hello"`},
		{`trigger.body.open["é\""]`, `any`, `1`},
		{`null`, `null`, `null`},
		{`nil`, `null`, `null`},
		{`trigger.body.task.title ?? "none"`, `string`, `"none"`},
		{`trigger.body.task != null ? trigger.body.task.title : "no"`, `string`, `"no"`},
		{`trigger.body.task == null ? "no" : trigger.body.task.title`, `string`, `"no"`},
		{`trigger.body.task.due != nil ? lower(trigger.body.task.due) : "no"`, `string`, `"no"`},
		{`trigger.body.task != null && trigger.body.task.title == "x"`, `boolean`, `false`},
		{`trigger.body.task == null || len(trigger.body.task.title) > 3`, `boolean`, `true`},
		{`trigger.body.task.due == "now" ? upper(trigger.body.task.due) : ""`, `string`, `""`},
		{`trigger.body.task.due contains "n" ? upper(trigger.body.task.due) : ""`, `string`, `""`},
		{`not (trigger.body.task.due == null) ? upper(trigger.body.task.due) : ""`, `string`, `""`},
		{`let d = trigger.body.task.due; d != null ? upper(d) : "-"`, `string`, `"-"`},
		{`filter(trigger.body.items, .qty != null && .qty > 0) | map(.name)`, `list(string)`, `["a"]`},
		{`trigger.body.items | filter(.price > 3) | map(.name)`, `list(string)`, `["b"]`},
		{`map(trigger.body.items, {{n: .name, q: .qty}})`, `list(object{n: string, q: integer or null})`, `[{"n":"a","q":1},{"n":"b","q":null}]`},
		{`map([[1, 2], [3]], map(#, # * #index))`, `list(list(integer))`, `[[0,2],[0]]`},
		{`sum(trigger.body.items, .price)`, `number`, `6.5`},
		{`trigger.body.items[7].name`, `string or null`, `null`},
		{`trigger.body.items[-1].name`, `string or null`, `"b"`},
		{`[1, 2, 3][1:]`, `list(integer)`, `[2,3]`},
		{`"hällo"[1]`, `string or null`, `"ä"`},
		{`"hällo"[1:3]`, `string`, `"äl"`},
		{`"hällo"[-2:]`, `string`, `"lo"`},
		{`(trigger.body.b ? trigger.body.task : trigger.body.items[0]).due`, `string or null`, `null`},
		{`trigger.body.who.mail`, `string or null`, `null`},
		{`{a: 1, "b c": [1, "x"]}`, `object{a: integer, b c: list(string or integer)}`, `{"a":1,"b c":[1,"x"]}`},
		{`{("a" + "b"): 1}`, `object`, `{"ab":1}`},
		{`steps.entry.body.title`, `string`, `"t"`},
		{`step("entry").status`, `"succeeded" or "failed"`, `"failed"`},
		{`step("entry").error != null ? step("entry").error.kind : ""`, `string`, `"timeout"`},
		{`x.y.z`, `any`, `null`},
		{`if 1 < 2 { "a" } else { "b" }`, `"a" or "b"`, `"a"`},
		{`1 < 2 < 3`, `boolean`, `true`},
		{`"b" in ["a", "b"]`, `boolean`, `true`},
		{`"title" in trigger.body`, `boolean`, `true`},
		{`"x" not in {x: 1}`, `boolean`, `false`},
		{`1..3`, `list(integer)`, `[1,2,3]`},
		// What a filter tests, its items have; so has an item of a constant index.
		{`trigger.body.items | filter(.qty != null) | map(.qty + 1)`, `list(integer)`, `[2]`},
		{`trigger.body.items | filter(.qty != null && .price > 2) | sum(.qty)`, `integer`, `1`},
		{`filter([trigger.body.task, null], # != null) | map(.title)`, `list(string)`, `[]`},
		{`find(trigger.body.items, .qty == 1)?.qty ?? 0`, `integer`, `1`},
		{`filter([{t: trigger.body.task}], .t.due != null) | map(upper(.t.due))`, `list(string)`, `[]`},
		{`filter(trigger.body.items, any([1], # > 0) && .qty != null) | map(.qty)`, `list(integer)`, `[1]`},
		{`filter(trigger.body.items, .qty != null || .price > 3) | map(.qty)`, `list(integer or null)`, `[1,null]`},
		{`filter([[1, null]], #[0] != null) | map(#[1])`, `list(integer or null)`, `[null]`},
		{`trigger.body.items[0].qty != null and trigger.body.items[0].qty > 0`, `boolean`, `true`},
		{`trigger.body.items[-1] != null ? upper(trigger.body.items[-1].name) : ""`, `string`, `"B"`},
		{`let l = trigger.body.items; l[0].qty != null ? l[0].qty + 1 : 0`, `integer`, `2`},
		{`pick(trigger.body, ["title", "n"])`, `object{n: integer, title: string}`, `{"n":3,"title":"Hello"}`},
		{`let names = trigger.body.b ? ["title"] : ["n"]; pick(trigger.body, names)`, `object{n?: integer, title?: string}`, `{"title":"Hello"}`},
		{`pick(trigger.body, [])`, `object`, `{}`},
		{`omit(trigger.body.items[0] ?? {name: "", price: 1}, ["price"])`, `object{name: string, qty?: integer}`, `{"name":"a","qty":1}`},
		{`rename({a: 1, b: "x"}, {a: "c"})`, `object{b: "x", c: integer}`, `{"b":"x","c":1}`},
		{`withoutNulls({a: 1, b: null, c: trigger.body.task})`, `object{a: integer, c?: object{due?: string or null, tags?: list(string), title: string}}`, `{"a":1}`},
		{`defaults(trigger.body.items[1] ?? {name: "", price: 0}, {qty: 7})`, `object{name: string, price: number, qty: integer}`, `{"name":"b","price":4,"qty":7}`},
		{`mergeDeep({a: {b: 1}, k: 1}, {a: {b: "x", c: 2}}, {d: null})`, `object{a: object{b: "x", c: integer}, d: null, k: integer}`, `{"a":{"b":"x","c":2},"d":null,"k":1}`},
		{`getPath(trigger.body, "items.1.name")`, `string or null`, `"b"`},
		{`getPath(trigger.body, "task.title", "none")`, `string`, `"none"`},
		{`getPath(trigger.body.free, "list.1")`, `any`, `"x"`},
		{`trigger.body["ti" + "tle"]`, `string`, `"Hello"`},
		{`let k = "title"; upper(trigger.body[k])`, `string`, `"HELLO"`},
		{`pick(trigger.body.open ?? {}, ["known", "z"]).z`, `any`, `1e6`},
		{`trigger.body.b ? 1 : fail("no")`, `integer`, `1`},
		{`false ? 1 / 0 : 2`, `number`, `2`},
		{`startOf(now(), "days")`, `time`, `"2026-11-24T00:00:00Z"`},
		{`now() < date("2020-01-01") ? fail("no") : len(uuid())`, `integer`, `36`},
		{`reduce(1..100000, #acc + #, 0) > 0`, `boolean`, `true`},
		{`join(compact(trigger.body.items | map(.qty)), "-")`, `string`, `"1"`},
		{`max([[1, 2.5], 3])`, `number or null`, `3`},
		{`max(now(), date("2026-01-01"))`, `time`, `"2026-11-24T10:30:00Z"`},
		{`min([])`, `null`, `null`},
		{`mean([[1], 3])`, `number`, `2`},
		{`sort([])`, `list`, `[]`},
		{`x in ["a"]`, `boolean`, `false`},
		{`trigger.body.items[1].qty in [1, null]`, `boolean`, `true`},
		{`[] == trigger.body.items`, `boolean`, `false`},
		{`"ab" matches "^a.$"`, `boolean`, `true`},
		{`x contains "a"`, `boolean`, `false`},

		// Numbers keep their digits, and whole ones print as such.
		{`trigger.body.f`, `number`, `1.50`},
		{`trigger.body.f * 2`, `number`, `3`},
		{`string(trigger.body.f)`, `string`, `"1.50"`},
		{`trigger.body.open.z`, `any`, `1e6`},
		{`string(trigger.body.open.z)`, `string`, `"1000000"`},
		{`1000000`, `integer`, `1000000`},
		{`1e6`, `number`, `1000000`},
		{`trigger.body.dict.k`, `integer or null`, `12345678901234567890`},
		{`(trigger.body.dict.k ?? 0) + 1`, `integer`, `12345678901234567891`},
		{`0.1 + 0.2`, `number`, `0.30000000000000004`},
		{`decimal("0.1") + decimal("0.2")`, `decimal`, `0.3`},
		{`decimal("10") / 4`, `decimal`, `2.5`},
		{`10 / 2`, `number`, `5`},
		{`10 / 4`, `number`, `2.5`},
		{`2 ** 10`, `number`, `1024`},
		{`-7 % 3`, `integer`, `-1`},
		{`1 == 1.0`, `boolean`, `true`},
		{`9007199254740993 == 9007199254740992.0`, `boolean`, `false`},
		{`-0.0`, `number`, `0`},

		// Times and durations.
		{`now() + duration("1h30m")`, `time`, `"2026-11-24T12:00:00Z"`},
		{`now() - date("2026-11-24")`, `duration`, `"10h30m"`},
		{`duration("1h") * 2`, `duration`, `"2h"`},
		{`duration("3h") / duration("2h")`, `number`, `1.5`},
		{`date("2026-11-24T10:30:00Z") == now()`, `boolean`, `true`},
		{`sum([duration("1h"), duration("30m")])`, `duration or integer`, `"1h30m"`},
	} {
		t.Run(c.src, func(t *testing.T) {
			t.Parallel()
			e, problems := Expr(c.src, newScope(t))
			if e == nil {
				t.Fatal(problems)
			}
			got, err := e.AppendJSON(nil, newEnv())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("value %s, want %s", got, c.want)
			}
			if e.Type().String() != c.typ {
				t.Errorf("type %s, want %s", e.Type(), c.typ)
			}
		})
	}
}

// What is refused when the graph is saved: all of it at once, with its place.
func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src  string
		want []string // code, place, hint
	}{
		{`steps.entry.body.tilte`, []string{`unknown_field 1:18 did you mean "title"?`}},
		{"trigger.body\n .task\n .tilte", []string{`unknown_field 3:3 did you mean "title"?`}},
		{`trigger.body.tilte + steps.entri`, []string{`unknown_field 1:14 did you mean "title"?`, `unknown_field 1:28 did you mean "entry"?`}},
		{`"ü" + trigger.body.tilte`, []string{`unknown_field 1:20 did you mean "title"?`}},
		{`triger.body`, []string{`unknown_name 1:1 did you mean "trigger"?`}},
		{`trigger.body.who.mial`, []string{`unknown_field 1:18 did you mean "mail"?`}},
		{`filter(trigger.body.items, .pirce > 3)`, []string{`unknown_field 1:29 did you mean "price"?`}},
		{`map(trigger.body.items, {{n: .name}})[0].m`, []string{`unknown_field 1:42 known are n`}},
		{`groupBy(trigger.body.items, .name)["a"][0].nmae`, []string{`unknown_field 1:44 did you mean "name"?`}},
		{`let x1 = first(trigger.body.items); x1.nmae`, []string{`unknown_field 1:40 did you mean "name"?`}},
		{`reverse(trigger.body.items)[0].nmae`, []string{`unknown_field 1:32 did you mean "name"?`}},
		{`get(trigger.body.task, "tilte")`, []string{`unknown_field 1:24 did you mean "title"?`}},
		{`trigger.body.items.name`, []string{`type 1:20 take one item with [0], or all with map(list, .name)`}},
		{`lower(trigger.body.task.title)`, []string{`maybe_null 1:25 add ?? and a default`}},
		{`trigger.body.dict.k + 1`, []string{`maybe_null 1:19 add ?? and a default`}},
		{`map(trigger.body.task.tags, #)`, []string{`maybe_null 1:23 add ?? and a default`}},
		{`count(trigger.body.items, .qty > 1)`, []string{`maybe_null 1:28 add ?? and a default`}},
		{`sortBy(trigger.body.items, .qty)`, []string{`maybe_null 1:29 add ?? and a default`}},
		{`trigger.body.task != null || trigger.body.task.title > ""`, []string{`maybe_null 1:48 add ?? and a default`}},
		{`trigger.body.title + 1`, []string{`type 1:20 make a text of the other side with string()`}},
		{`trigger.body.title == 1`, []string{`type 1:20 `}},
		{`trigger.body.n ? 1 : 2`, []string{`type 1:14 `}},
		{`trigger.body.event == "task.compleeted"`, []string{`enum 1:23 did you mean "task.completed"?`}},
		{`trigger.body.event in ["task.created", "gone"]`, []string{`enum 1:40 possible are task.completed, task.created`}},
		{`step("entri")`, []string{`unknown_name 1:6 did you mean "entry"?`}},
		{`step("entry").state`, []string{`unknown_field 1:15 did you mean "status"?`}},
		{`step(trigger.body.title)`, []string{`arguments 1:19 write step("name")`}},
		{`step.entry`, []string{`arguments 1:1 `}},
		{`lowr("x")`, []string{`unknown_function 1:1 did you mean "lower"?`}},
		{`toUpperCase("x")`, []string{`unknown_function 1:1 did you mean "upper"?`}},
		{`lower()`, []string{`arguments 1:1 it is lower(text: string): string`}},
		{`lower(1)`, []string{`type 1:7 it is lower(text: string): string`}},
		{`sort([1], "up")`, []string{`enum 1:11 write "asc" or "desc"`}},
		{`let x = 1; x`, []string{`duplicate 1:5 choose another name`}},
		{`let a = 1; let a = 2; a`, []string{`duplicate 1:16 choose another name`}},
		{`{a: 1, a: 2}`, []string{`duplicate 1:8 `}},
		{`"a" matches "("`, []string{`regexp 1:13 `}},
		{`$env.trigger`, []string{`unsupported 1:1 name what you need: trigger, steps, step, x`}},
		{`b"x"`, []string{`unsupported 1:1 write the text without the b`}},
		{`trigger.body.title.lower()`, []string{`unsupported 1:20 write: … | lower()`}},
		{`trigger.body.a-b`, []string{`unknown_name 1:16 a name with a dash is written in brackets: ["a-b"]`}},
		{`map(trigger.body.items, {n: .name})`, []string{`syntax 1:27 the braces of a predicate aren't an object; double them: map(list, {{name: .name}})`}},
		{`trigger.body.title = "x"`, []string{`syntax 1:20 write == to compare`}},
		{`filter(trigger.body.items, i => i.a)`, []string{`syntax 1:30 the item of a list is #: filter(list, #.done)`}},
		{`'it''s'`, []string{`syntax 1:5 a quote inside of a text: "it's", or \'`}},
		{`contains(trigger.body.title, "a")`, []string{`syntax 1:1 it stands between its operands: a contains b`}},
		{`None`, []string{`unknown_name 1:1 did you mean "null"?`}},
		{`[1,2`, []string{`syntax 1:4 `}},
		{``, []string{`syntax 1:1 `}},
		{`# > 1`, []string{`syntax 1:1 `}},
		{"\xff", []string{`utf8 1:1 `}},
		{`1 + 12345678901234567890`, []string{`syntax 1:5 `}},
		{`1 + 12345678901234567890 + 2`, []string{`syntax 1:5 `}},
		{`-9223372036854775808`, []string{`syntax 1:2 write -9223372036854775807 - 1`}},
		{`1 + "abc`, []string{`syntax 1:5 `}},
		{"'it\\'s' + `a` + 'x\ny' // '", []string{`syntax 1:17 `}},
		{`1 /* a */ + /* "ü`, []string{`syntax 1:13 `}},
		{`1e999`, []string{`syntax 1:1 `}},

		// What makes text or an order of a value needs one, and of one kind.
		{`string(trigger.body.task.due)`, []string{`maybe_null 1:26 add ?? and a default`}},
		{`"a" + string(trigger.body.task.due)`, []string{`maybe_null 1:32 add ?? and a default`}},
		{`[trigger.body.task.due] | join(",")`, []string{`maybe_null 1:1 leave the nulls out with compact(), or give each a default: map(list, # ?? …)`}},
		{`zipObject(map(trigger.body.items, .qty), [1])`, []string{`maybe_null 1:11 leave the nulls out with compact(), or give each a default: map(list, # ?? …)`}},
		{`invert({a: trigger.body.task.due})`, []string{`maybe_null 1:8 leave the nulls out with compact(), or give each a default: map(list, # ?? …)`}},
		{`max(1, "a")`, []string{`type 1:1 `}},
		{`max(trigger.body.items)`, []string{`type 1:18 `}},
		{`min(1, trigger.body.items[0].qty)`, []string{`maybe_null 1:30 add ?? and a default`}},
		{`min(map(trigger.body.items, .qty))`, []string{`maybe_null 1:5 leave the nulls out with compact(), or give each a default: map(list, # ?? …)`}},
		{`sort(trigger.body.items)`, []string{`type 1:19 `}},
		{`sort([1, "a"])`, []string{`type 1:6 `}},
		{`sort([true])`, []string{`type 1:6 `}},
		{`sortBy(trigger.body.items, #index > 0 ? .price : .name)`, []string{`type 1:55 `}},
		{`mean(map(trigger.body.items, .name))`, []string{`type 1:6 it is mean(values: any, …): number`}},
		{`median(trigger.body.items[0].qty, 1)`, []string{`maybe_null 1:30 add ?? and a default`}},
		{`trigger.body.n in ["3"]`, []string{`type 1:16 `}},
		{`trigger.body.items[0].qty in ["3"]`, []string{`type 1:27 `}},
		{`[trigger.body.n] == ["3"]`, []string{`type 1:18 `}},

		// Names that are given as texts are names, too.
		{`uniqBy(trigger.body.items, "nmae")`, []string{`unknown_field 1:28 did you mean "name"?`}},
		{`countBy(trigger.body.items, "nmae")`, []string{`unknown_field 1:29 did you mean "name"?`}},
		{`maxBy(trigger.body.items, "pirce")`, []string{`unknown_field 1:27 did you mean "price"?`}},
		{`let f = "pirce"; minBy(trigger.body.items, f)`, []string{`unknown_field 1:44 did you mean "price"?`}},
		{`maxBy([{a: [1]}], "a")`, []string{`type 1:19 `}},
		{`indexBy(trigger.body.items, "nmae")`, []string{`unknown_field 1:29 did you mean "name"?`}},
		{`indexBy(trigger.body.items, "qty")`, []string{`maybe_null 1:29 add ?? and a default`}},
		{`pick(trigger.body, ["title", "tilte"])`, []string{`unknown_field 1:30 did you mean "title"?`}},
		{`omit(trigger.body, ["tilte"])`, []string{`unknown_field 1:21 did you mean "title"?`}},
		{`rename(trigger.body, {tilte: "name"})`, []string{`unknown_field 1:23 did you mean "title"?`}},
		{`getPath(trigger.body, "tilte")`, []string{`unknown_field 1:23 did you mean "title"?`}},
		{`getPath(trigger.body, "items.0.nmae")`, []string{`unknown_field 1:23 did you mean "name"?`}},
		{`getPath(trigger.body, "items.name")`, []string{`type 1:23 take one item with its index, such as items.0`}},
		{`hasPath(trigger.body, "title.x")`, []string{`type 1:23 `}},
		{`"tilte" in trigger.body`, []string{`unknown_field 1:1 did you mean "title"?`}},
		{`let k = "tilte"; trigger.body[k]`, []string{`unknown_field 1:31 did you mean "title"?`}},
		{`trigger.body["ti" + "tel"]`, []string{`unknown_field 1:19 did you mean "title"?`}},
		{`let k = "tilte"; get(trigger.body, k)`, []string{`unknown_field 1:36 did you mean "title"?`}},
		// And what comes of them has exact types.
		{`pick(trigger.body, ["title"]).titel`, []string{`unknown_field 1:31 did you mean "title"?`}},
		{`pick(trigger.body, ["n"]).title`, []string{`unknown_field 1:27 known are n`}},
		{`omit(trigger.body, ["title"]).title`, []string{`unknown_field 1:31 known are b, dict, event, f, free, items, n, open, task, who`}},
		{`withoutNulls(trigger.body).tilte`, []string{`unknown_field 1:28 did you mean "title"?`}},
		{`upper(withoutNulls(trigger.body.items[0] ?? {name: "", qty: null}).name + string(withoutNulls({a: trigger.body.who}).a))`, []string{`maybe_null 1:118 add ?? and a default`}},
		{`rename(trigger.body, {title: "name"}).title`, []string{`unknown_field 1:39 known are b, dict, event, f, free, items, n, name, open, task, who`}},
		{`defaults(trigger.body.items[0] ?? {name: ""}, {qty: 1}).nmae`, []string{`unknown_field 1:57 did you mean "name"?`}},
		{`mergeDeep({a: {b: 1}}, {a: {c: 2}}).a.d`, []string{`unknown_field 1:39 known are b, c`}},
		{`getPath(trigger.body, "items.0.name") | upper()`, []string{`maybe_null 1:1 add ?? and a default`}},

		{`filter(trigger.body.items, .qty == null) | map(.qty + 1)`, []string{`maybe_null 1:49 add ?? and a default`}},
		{`filter(trigger.body.items, not (.qty != null)) | sum(.qty)`, []string{`maybe_null 1:55 add ?? and a default`}},
		{`trigger.body.items[0].qty != null and trigger.body.items[1].qty > 0`, []string{`maybe_null 1:61 add ?? and a default`}},
		{`trigger.body.items[trigger.body.n].qty != null and trigger.body.items[trigger.body.n].qty > 0`, []string{`maybe_null 1:87 add ?? and a default`}},
		{`filter(trigger.body.items, .qty != null) | map(.nmae)`, []string{`unknown_field 1:49 did you mean "name"?`}},

		// Habits.
		{`trigger.body.title | lower`, []string{`syntax 1:26 a function is called: … | lower()`}},
		{`concat("a", "b")`, []string{`type 1:8 join texts with +`, `type 1:13 join texts with +`}},
		{`items`, []string{`unknown_name 1:1 did you mean "trigger.body.items"?`}},
		{`$json`, []string{`unknown_name 1:1 did you mean "trigger.body"?`}},
		{`“a”`, []string{`syntax 1:1 write straight quotes: "text"`}},
		{`trigger.body.items[*].name`, []string{`syntax 1:20 for all items write map(list, .name)`}},
		{`trigger.body.items.length`, []string{`type 1:20 write len(value)`}},
		{`trigger.body.title + duration("1h")`, []string{`type 1:20 make a time of the text with date()`}},
		{`now() > trigger.body.title`, []string{`type 1:7 make a time of the text with date()`}},
		{`trigger.body.title ?: "a"`, []string{`type 1:14 for a default write value ?? other`}},
		{`trigger.body.b || "a"`, []string{`type 1:19 for a default write value ?? other`}},
		{`ltrim("a")`, []string{`unknown_function 1:1 write: trim(text), or trimPrefix(text, prefix)`}},
		{`fromCSV("a")`, []string{`unknown_function 1:1 did you mean "parseCsv"?`}},

		// What needs no data and can only fail is told before.
		{`inZone(now(), "Europe/Berln")`, []string{`enum 1:15 did you mean "Europe/Berlin"?`}},
		{`let z = "Europe/Berln"; isoDate(now(), z)`, []string{`enum 1:40 did you mean "Europe/Berlin"?`}},
		{`startOf(now(), "fortnight")`, []string{`enum 1:16 possible are year, quarter, month, week, day, hour, minute, second`}},
		{`sha256(trigger.body.title, "hexx")`, []string{`enum 1:28 did you mean "hex"?`}},
		{`match(trigger.body.title, "(")`, []string{`regexp 1:27 `}},
		{`let p = "("; trigger.body.title | replaceRegexp(p, "")`, []string{`regexp 1:49 `}},
		{`date("2026-02-30")`, []string{`always_fails 1:1 `}},
		{`trigger.body.b ? now() : date("30.2.2026", "02.01.2006")`, []string{`always_fails 1:26 `}},
		{`trigger.body.n + 1 / 0`, []string{`always_fails 1:20 `}},
		{`[1 / 0, int("x"), trigger.body.n]`, []string{`always_fails 1:4 `, `always_fails 1:9 `}},
		{`trigger.body.tilte + string(1 % 0)`, []string{`unknown_field 1:14 did you mean "title"?`, `always_fails 1:31 `}},
		{`map(trigger.body.items, fromJSON("{"))`, []string{`always_fails 1:25 `}},

		// A secret is never text.
		{`secret("a") + "x"`, []string{`secret 1:13 give the secret whole to a field that takes one`}},
		{`secret("a") == "x"`, []string{`secret 1:13 give the secret whole to a field that takes one`}},
		{`toJSON([secret("a")])`, []string{`secret 1:8 give the secret whole to a field that takes one`}},
		{`let s = {k: secret("a")}; s.k | upper()`, []string{`secret 1:29 give the secret whole to a field that takes one`}},
		{`map([1], secret("a"))`, []string{`secret 1:10 give the secret whole to a field that takes one`}},
		{`secret(trigger.body.title)`, []string{`secret 1:21 write secret("name")`}},
	} {
		t.Run(c.src, func(t *testing.T) {
			t.Parallel()
			p, problems := Compile(c.src, newScope(t))
			if p != nil {
				t.Fatalf("compiled, as %s", p.Type())
			}
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%s %d:%d %s", p.Code, p.Line, p.Column, p.Hint))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What fails when it is evaluated, because the type couldn't tell.
func TestErrors(t *testing.T) {
	t.Parallel()
	huge := json.Number("1234567890123456789012345678901234567890123456789012345678901234567890")
	for _, c := range []struct {
		src  string
		x    any
		want string
	}{
		{`truncate(x, 3, "....")`, "hello", `1:1: the end "...." has more than 3 characters`},
		{`truncate(x, -1)`, "hello", `1:1: a text has no -1 characters`},
		{`formatCsv(x)`, []any{map[string]any{"a": 1}, map[string]any{"b": 2}}, `1:1: row 2 has "b", which the first row lacks; give the names, as a second argument`},
		{`x + 1`, json.Number("1e-400"), `1:3: "1e-400" is too small to be computed with; use decimal()`},
		{`x + 1`, nil, `1:3: + needs a value, got null; add ?? and a default`},
		{`lower(x)`, 5, `1:1: expected a string, got number`},
		{`x.a`, "text", `1:3: string has no field "a"`},
		{`x ? 1 : 2`, "yes", `1:1: expected true or false, got string`},
		{`x / 0`, 1, `1:3: division by zero`},
		{`decimal(x) / 0`, "1", `1:12: division by zero`},
		{`x + 1`, math.MaxInt, `1:3: 9223372036854775807 + 1 is more than a 64-bit integer holds; use decimal()`},
		{`-x`, math.MinInt, `1:1: 0 - -9223372036854775808 is more than a 64-bit integer holds; use decimal()`},
		{`x * 1e308`, 1e10, `1:3: the result isn't a finite number`},
		{`(-1) ** x`, 0.5, `1:6: the result isn't a finite number`},
		{`x + 1`, huge, `1:3: a number of 70 characters can't be computed with; at most 64 are allowed (limits.expr_digits)`},
		{`map(x, #)`, nil, `1:1: expected a list for map, got null; add ?? and a default`},
		{`sort(x)`, []any{1, "a"}, `1:1: string can't be compared with number`},
		{`"a" matches x`, "(", "1:5: a regular expression that can't be read: error parsing regexp: missing closing ): `(`"},
		{`reduce(x, #acc + #)`, []any{}, `1:1: reduce of an empty list needs a third argument, what to begin with`},
		{`{(x): 1, a: 2}`, "a", `1:10: the key "a" is given twice`},
		{`toJSON(x)`, math.NaN(), `1:1: the result isn't a finite number`},
		{`toJSON(x)`, struct{}{}, `1:1: a Go value of type struct {} can't be written out`},
		{`string(x)`, Secret{"k"}, `1:1: a secret can't be made into text`},
		{`toJSON([x])`, Secret{"k"}, `1:1: a secret can't be written out`},
		{`x == "v"`, Secret{"k"}, `1:3: a secret can't be compared`},
		{`reduce([1], #acc + "x", x)`, Secret{"k"}, `1:18: + can't be used between secret and string`},
		{`keys(x)`, members{"a": 1}, `1:1: this object can't be taken as a whole; name one of its members`},
		{`inZone(now(), x)`, "Europe/Berln", `1:1: unknown zone "Europe/Berln"; did you mean "Europe/Berlin"?`},
		{`inZone(now(), x)`, "Mars", `1:1: unknown zone "Mars"; "UTC", offsets like "+02:00" and names like "Europe/Berlin" are known`},
		{`inZone(now(), x)`, "../passwd", `1:1: unknown zone "../passwd"; "UTC", offsets like "+02:00" and names like "Europe/Berlin" are known`},
		{`date(x)`, "Tue, 24 Nov 2026 10:00:00 CET", `1:1: the zone "CET" has no known offset; write one like +02:00`},
		{`date(x)`, "24/11/2026", `1:1: "24/11/2026" isn't a time; 2026-11-30T08:00:00Z is one`},
		{`fromJSON(x)`, `{"a":}`, `1:1: "{\"a\":}" isn't JSON: a value is expected at offset 5`},
	} {
		t.Run(c.src, func(t *testing.T) {
			t.Parallel()
			p, problems := Compile(c.src, NewScope(Var{Name: "x"}))
			if p == nil {
				t.Fatal(problems)
			}
			v, err := p.Eval(&Env{Values: []any{c.x}})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("gives %v, %v", v, err)
			}
			if e.Error() != c.want {
				t.Errorf("got  %s\nwant %s", e, c.want)
			}
		})
	}
}

func TestValuesOfAllKinds(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "x"})
	for _, c := range []struct {
		src  string
		x    any
		want string
	}{
		{`x.a`, map[string]any{"a": 1}, `1`},
		{`x.a`, members{"a": "m"}, `"m"`},
		{`x.b ?? "none"`, members{"a": "m"}, `"none"`},
		{`x["a"]`, members{"a": "m"}, `"m"`},
		{`x`, listed{members{"b": 1, "a": 2}}, `{"a":2,"b":1}`},
		{`x == {a: 2, b: 1}`, listed{members{"b": 1, "a": 2}}, `true`},
		{`x`, time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), `"2026-01-02T03:04:05.006Z"`},
		{`x`, 90 * time.Second, `"1m30s"`},
		{`x`, json.Number("1.10"), `1.10`},
		{`groupBy(x, #)`, NewRaw([]byte(`[1.50,1.5,2.0,2,1e1]`)), `{"1.5":[1.50,1.5],"10":[1e1],"2":[2.0,2]}`},
		{`countBy(x, "n")`, NewRaw([]byte(`[{"n":1.50},{"n":1.5}]`)), `{"1.5":2}`},
		{`groupBy([decimal("1.50"), 1.5], #) | keys()`, nil, `["1.5"]`},
		{`formatCsv(x, ["a"])`, []any{map[string]any{"a": 1}, map[string]any{"b": 2}}, `"a\n1\n\n"`},
		{`x + 1`, json.Number("0e-400"), `1`},
		{`x + x`, json.Number("1.10"), `2.2`},
		{`x == 1.1`, json.Number("1.10"), `true`},
		{`x`, "a\u2028\x01\"\\\xff", "\"a\u2028\\u0001\\\"\\\\\ufffd\""},
		{`x`, []any{map[string]any{"b": nil, "a": true}}, `[{"a":true,"b":null}]`},
		{`x == x`, NewRaw([]byte(`{"a":[1,{"b":2}]}`)), `true`},
		{`x == {a: [1.0, {b: 2}]}`, NewRaw([]byte(`{"a":[1,{"b":2}]}`)), `true`},
		{`len(x) + len(x.a)`, NewRaw([]byte(`{"a":[1,{"b":2}]}`)), `3`},
	} {
		e, problems := Expr(c.src, sc)
		if e == nil {
			t.Fatal(c.src, problems)
		}
		got, err := e.AppendJSON(nil, &Env{Values: []any{c.x}})
		if string(got) != c.want || err != nil {
			t.Errorf("%s of %v: %s, %v; want %s", c.src, c.x, got, err, c.want)
		}
	}
	// A missing value is null.
	p, _ := Compile("x", sc)
	if v, err := p.Eval(&Env{}); v != nil || err != nil {
		t.Error(v, err)
	}
}

func TestEachLibraryExample(t *testing.T) {
	t.Parallel()
	env := newEnv()
	for _, fn := range Library() {
		if len(fn.Examples) < 2 && fn.Name != "secret" {
			t.Errorf("%s has %d examples, 2 are the least", fn.Name, len(fn.Examples))
		}
		for _, ex := range fn.Examples {
			e, problems := Expr(ex.Source, nil)
			if e == nil {
				t.Errorf("%s: %v", ex.Source, problems)
				continue
			}
			got, err := e.AppendJSON(nil, env)
			if err != nil || string(got) != ex.Result {
				t.Errorf("%s gives %s, %v; want %s", ex.Source, got, err, ex.Result)
			}
			if want := jsonType([]byte(ex.Result), 0); !e.Type().IsAny() {
				if ok, why := Assignable(want, asJSON(e.Type())); !ok {
					t.Errorf("%s is typed %s, but gives %s: %s", ex.Source, e.Type(), want, why)
				}
			}
		}
	}
}

// asJSON is the type of what t is as JSON, where a time is a string.
func asJSON(t *Type) *Type {
	j, err := ParseSchema(t.Schema())
	if err != nil {
		panic(err)
	}
	return j
}
