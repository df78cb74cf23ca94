package httpx

import (
	"net/http"
	"strconv"
	"strings"
)

// prefersGzip tells whether a caller takes gzip and would not rather have the body
// as it is. Nothing else is offered; who refuses both gets the body as it is, since
// a refusal would have a body too.
func prefersGzip(r *http.Request) bool {
	header := strings.Join(r.Header.Values("Accept-Encoding"), ",")
	if header == "" {
		return false
	}
	wish, named := weigh(header, "gzip")
	if !named {
		wish, named = weigh(header, "x-gzip") // an older name of the same
	}
	if !named {
		wish = quality(header, "*")
	}
	return wish > 0 && wish >= quality(header, "identity")
}

// quality is how much a header like Accept likes a value that it must name; 0 is not
// at all.
func quality(header, value string) float64 {
	q, _ := weigh(header, value)
	return q
}

// weigh tells besides whether the header names the value.
func weigh(header, value string) (q float64, named bool) {
	for _, offer := range strings.Split(header, ",") {
		name, params, _ := strings.Cut(offer, ";")
		if !strings.EqualFold(strings.TrimSpace(name), value) {
			continue
		}
		for _, param := range strings.Split(params, ";") {
			key, text, _ := strings.Cut(strings.TrimSpace(param), "=")
			if strings.EqualFold(strings.TrimSpace(key), "q") {
				q, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				if err != nil || !(q >= 0) {
					return 0, true
				}
				return min(q, 1), true
			}
		}
		return 1, true
	}
	return 0, false
}

// oneLine makes one line of a list that came in several, as the generated servers want it.
func oneLine(h http.Header, name string) string {
	if lines := h.Values(name); len(lines) > 1 {
		h.Set(name, strings.Join(lines, ", "))
	}
	return h.Get(name)
}
