package emulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Venom is in every hostile text, so that it can be looked for wherever it must not come.
const Venom = "v3n0m"

// poisons are values that no upstream should ever send, as JSON.
var poisons = []string{
	`"` + Venom + `\n{\"level\":\"ERROR\",\"msg\":\"forged\"}"`,
	`"` + Venom + `\u0000"`,
	`"` + Venom + `'; DROP TABLE kafka_requests; --"`,
	`"<script>` + Venom + `</script>"`,
	`"../../` + Venom + `?x=%2e%2e#"`,
	`"` + Venom + `.attacker.example.test"`,
	`"` + Venom + "\xff\xfe" + `"`,
	`"` + Venom + strings.Repeat("x", 1<<16) + `"`,
	`""`, `null`, `true`, `-1`, `0`, `1e400`, `9223372036854775808`, `0.5`, `"NaN"`, `[]`, `{}`, `["` + Venom + `"]`, `{"` + Venom + `":{}}`,
}

// poison replies as usual, save for one value of the body.
func (c *call) poison(draw func(int) int) {
	usual := &recorder{discard: discard{header: http.Header{}}, status: http.StatusOK}
	c.serve(usual)
	maps.Copy(c.w.Header(), usual.header)
	c.w.Header().Del("Content-Length")
	c.w.WriteHeader(usual.status)
	_, _ = c.w.Write(poisoned(usual.body.Bytes(), draw))
	c.replied(usual.status)
}

var xmlTexts = regexp.MustCompile(`>([^<>\s][^<>]*)<`)

// served numbers the texts: who finds one knows that it is of no other reply.
var served atomic.Int64

func poisoned(body []byte, draw func(int) int) []byte {
	value := strings.Replace(poisons[draw(len(poisons))], Venom, Venom+strconv.FormatInt(served.Add(1), 10), 1)
	var document any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&document) == nil {
		places := scalars(document, nil)
		if len(places) == 0 {
			return body
		}
		places[draw(len(places))](placeholder)
		changed, err := json.Marshal(document)
		if err != nil {
			return body
		}
		return bytes.Replace(changed, []byte(strconv.Quote(placeholder)), []byte(value), 1)
	}
	texts := xmlTexts.FindAllSubmatchIndex(body, -1)
	if len(texts) == 0 {
		return body
	}
	at := texts[draw(len(texts))]
	text := strings.NewReplacer("<", "&lt;", ">", "&gt;", `\u0000`, "&#1;", `\n`, "\n").Replace(strings.Trim(value, `"`))
	return slices.Concat(body[:at[2]], []byte(text), body[at[3]:])
}

const placeholder = "the place of a poisoned value"

// scalars gives for each value that holds no other one the way to replace it.
func scalars(v any, set func(any)) []func(any) {
	var all []func(any)
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, scalars(v[key], func(other any) { v[key] = other })...)
		}
	case []any:
		for i := range v {
			all = append(all, scalars(v[i], func(other any) { v[i] = other })...)
		}
	default:
		if set != nil {
			all = append(all, set)
		}
	}
	return all
}
