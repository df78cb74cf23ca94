package hostile

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// Placeholders for what only the running world knows.
const (
	thisOne = "{existing}"
	another = "{deleted}"
)

// deepest is how far the values of a body nest.
const deepest = 4

// request is one call as it is drawn, before the world fills it in.
type request struct {
	op          int // of allOperations
	who         int // of the callers
	id          string
	query, body string
	header      [2]string
}

// requests draws calls of all operations. Half of what it draws fits the schema,
// so that the call gets past the decoder; the rest is at its bounds, of another
// type or no JSON at all.
func requests(ops []operation, callers int) *rapid.Generator[request] {
	return rapid.Custom(func(t *rapid.T) request {
		i := rapid.IntRange(0, len(ops)-1).Draw(t, "operation")
		r := request{op: i, who: rapid.IntRange(0, callers-1).Draw(t, "caller")}
		r.id = rapid.OneOf(rapid.Just(thisOne), rapid.Just(thisOne), rapid.Just(another), words(), hostileTexts()).Draw(t, "id")
		query := []string{}
		for _, p := range ops[i].params {
			if p.Value.In == openapi3.ParameterInQuery && rapid.Float64Range(0, 1).Draw(t, "given") < 0.7 {
				query = append(query, p.Value.Name+"="+parameter(p.Value).Draw(t, p.Value.Name))
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "stray") == 0 {
			query = append(query, rapid.SampledFrom([]string{"unknown=1", "x=%zz", "a;b", "=", "&&", "async=true&async=false"}).Draw(t, "parameter"))
		}
		r.query = strings.Join(query, "&")
		if ops[i].takesBody() {
			r.body = body(ops[i].RequestBody.Value.Content.Get("application/json").Schema.Value).Draw(t, "body")
		}
		r.header = rapid.SampledFrom([][2]string{
			{}, {}, {}, {"If-None-Match", "*"}, {"If-None-Match", `W/"x", ,"`}, {"Accept-Encoding", "gzip;q=x, br"}, {"Accept", "text/html"},
			{"X-Request-ID", "a b\tc"}, {"Content-Encoding", "gzip"}, {"Range", "bytes=0-1"}, {"Origin", "https://evil.example.test"},
			{"X-HTTP-Method-Override", "DELETE"}, {"X-Forwarded-For", "127.0.0.1"}, {"Transfer-Encoding", "chunked"}, {"Cookie", "cs_jwt=x"},
		}).Draw(t, "header")
		return r
	})
}

// parameter draws the encoded value of a query parameter.
func parameter(p *openapi3.Parameter) *rapid.Generator[string] {
	plain := rapid.OneOf(words(), hostileTexts(), numbers())
	known := map[string][]string{
		"async":     {"true", "true", "true", "TRUE", "1"},
		"page":      {"1", "2", "0", "2147483647", "2147483648", "9223372036854775808", "-1"},
		"size":      {"1", "100", "0", "1000", "1001", "9223372036854775807", "99999999999999999999"},
		"orderBy":   {"name", "name desc, created_at", "href", "name,,id", "name asc asc", "status;"},
		"client_id": {"srvc-acct-6f4ae3ab-0f4e-4f0e-93a5-8d2f3c1b7e90"},
		"search": {
			"name = x", "name like %a_b\\%", "status in (ready, 'failed') and not owner = x", "(name = a or (region <> b))", "name ilike 'É%'",
			"name = 'it''s'", "name = a and name = b and name = c and name = d", strings.Repeat("(", 30) + "name = x" + strings.Repeat(")", 30),
			strings.Repeat("name = x or ", 12) + "name = y", "cluster_id not in ('')",
		},
	}
	return rapid.Custom(func(t *rapid.T) string {
		if some := known[p.Name]; some != nil && rapid.Bool().Draw(t, "known") {
			return url.QueryEscape(rapid.SampledFrom(some).Draw(t, "value"))
		}
		if rapid.IntRange(0, 19).Draw(t, "broken") == 0 {
			return rapid.SampledFrom([]string{"%", "%zz", "%ff%fe", "a;b", "a&" + p.Name + "=b", "%00"}).Draw(t, "encoding")
		}
		return url.QueryEscape(plain.Draw(t, "value"))
	})
}

// body draws the text of a body.
func body(schema *openapi3.Schema) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		text := value(schema, 0).Draw(t, "value")
		switch rapid.IntRange(0, 24).Draw(t, "damage") {
		case 0:
			return text[:rapid.IntRange(0, len(text)).Draw(t, "cut")]
		case 1:
			return text + rapid.SampledFrom([]string{text, "}", "\x00", " null", ","}).Draw(t, "behind")
		case 2:
			return "\ufeff" + text
		case 3:
			return strings.Repeat(`{"conditions":[`, 12_000)
		case 4:
			return rapid.SampledFrom([]string{"", " ", "null", "[]", "true", `"x"`, "0", "NaN", "{'a':1}", "<x/>", "\x1f\x8b\x08"}).Draw(t, "no object")
		case 5:
			at := rapid.IntRange(0, len(text)).Draw(t, "at")
			return text[:at] + rapid.StringN(0, 4, -1).Draw(t, "noise") + text[at:]
		}
		return text
	})
}

// value draws the JSON text of a value for a schema.
func value(s *openapi3.Schema, depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		switch fit := rapid.IntRange(0, 19).Draw(t, "fit"); {
		case fit == 0:
			return anything().Draw(t, "anything")
		case fit == 1:
			return "null"
		case s.Type.Is(openapi3.TypeObject) || len(s.Properties) > 0:
			return composed(s, depth).Draw(t, "object")
		case s.Type.Is(openapi3.TypeArray):
			return listed(s, depth).Draw(t, "array")
		case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
			return numbers().Draw(t, "number")
		case s.Type.Is(openapi3.TypeBoolean):
			return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "boolean")
		default:
			return quoted(rapid.OneOf(words(), words(), hostileTexts(), sized(s)).Draw(t, "text"))
		}
	})
}

func composed(s *openapi3.Schema, depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var fields []string
		add := func(name string, of *openapi3.Schema) {
			if depth < deepest {
				fields = append(fields, quoted(name)+":"+value(of, depth+1).Draw(t, name))
			}
		}
		for name, property := range s.Properties {
			if rapid.Float64Range(0, 1).Draw(t, "has "+name) < 0.6 {
				add(name, property.Value)
			}
		}
		if of := s.AdditionalProperties.Schema; of != nil {
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				add(rapid.OneOf(rapid.Just(thisOne), words(), hostileTexts()).Draw(t, "key"), of.Value)
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "more") == 0 {
			fields = append(fields, rapid.SampledFrom([]string{
				`"id":"x"`, `"status":"ready"`, `"organisation_id":"1"`, `"owner":"carol"`, `"unknown":{"a":[]}`, `"NAME":"x"`, `"__proto__":{}`, `"":0`,
			}).Draw(t, "unknown"))
		}
		if len(fields) > 0 && rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
			fields = append(fields, fields[0])
		}
		return "{" + strings.Join(fields, ",") + "}"
	})
}

func listed(s *openapi3.Schema, depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var items []string
		for range rapid.SampledFrom([]int{0, 1, 1, 2, 3, 70}).Draw(t, "items") {
			if depth < deepest {
				items = append(items, value(s.Items.Value, depth+1).Draw(t, "item"))
			}
		}
		return "[" + strings.Join(items, ",") + "]"
	})
}

// words are texts that mean something here.
func words() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		"one", "a", "alice", "bob", "carol", "mallory", "aws", "us-east-1", "standard", "standard.x1", "developer.x1", "eval", "enterprise", "true",
		"Ready", "True", "False", "Unknown", "Installing", "Error", "Rejected", "Suspended", "Deleted", "Cluster has insufficient resources",
		"2026-01-02T03:04:05Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+23:59", "2.8.1", "strimzi-cluster-operator.v0.23.0-4",
		"kas.mk-c1.example.test", "broker-0", "100Gi", "1e3", "-1", "7", "1sandbox0000000000000000000000c1", "https://admin.example.test",
	})
}

// hostileTexts are texts that break what does not expect them.
func hostileTexts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{
		"", " ", "\x00", "a\x00b", "\xff\xfe", "\u2028", "\u202e", "\ufffd", "😀", "é", "A\nB\r\nX-Evil: 1", "%d%s%n", "'", `"`, `\`, "' OR 1=1 --",
		"$1", "?", "a;b", "../../etc/passwd", "..", ".", "%2e%2e", "<script>", "{{7*7}}", "${jndi:x}", "null", "NaN", "1e400", "-", "_", "%",
		"9999999999999999999999Gi", "1.2.3.4.5", "v1.0.0-" + "a.b.c.d.e.f.g", "+1", "0x10",
	}), rapid.String(), rapid.Map(rapid.SampledFrom([]int{31, 32, 33, 50, 51, 63, 64, 253, 254, 255, 256, 1024, 1025, 5000}), func(n int) string {
		return strings.Repeat("x", n)
	}))
}

// sized draws texts at the bounds of a schema.
func sized(s *openapi3.Schema) *rapid.Generator[string] {
	lengths := []int{int(s.MinLength), int(s.MinLength) + 1}
	if s.MaxLength != nil {
		lengths = append(lengths, int(*s.MaxLength), int(*s.MaxLength)+1)
	}
	return rapid.Map(rapid.SampledFrom(lengths), func(n int) string { return strings.Repeat("z", n) })
}

func numbers() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		"0", "1", "-1", "-0", "3", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "1.5", "1e2", "1e400",
		"-1e-400", "0.1", strings.Repeat("9", 400),
	})
}

func anything() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"{}", "[]", `""`, "0", "true", "[[[]]]", `{"a":{"b":[1]}}`, `"text"`, "1.5", "-1", "1e999", `["x"]`})
}

// quoted writes a JSON string, but keeps bytes that are no UTF-8.
func quoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out.WriteString(`\` + string(c))
		case c < ' ':
			out.WriteString(`\u00` + strconv.FormatUint(uint64(c)|0x100, 16)[1:])
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// pathID encodes an id so that it is one part of a path.
func pathID(id string) string {
	switch escaped := url.PathEscape(id); escaped {
	case "", ".", "..":
		return "%" + strconv.FormatUint(uint64(' '), 16)
	default:
		return escaped
	}
}

// changes tells whether a call may change something.
func (o operation) changes() bool { return o.method != http.MethodGet }
