package harness

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

// A harness that sees nothing would make every story true.
func TestSecretsInTheLogAreFound(t *testing.T) {
	t.Parallel()
	s := newSecrets()
	s.add("a token", "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl")
	s.add("a short one", "short")
	require.Empty(t, s.in(`{"msg":"served","user":"alice"}`))
	require.Len(t, s.in(`{"msg":"logged in","with":"`+adminSecret+`"}`), 1)
	require.Len(t, s.in(`{"token":"eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"}`), 1)
	require.NotContains(t, s.in("x\na " + ocmSecret + " b\ny")[0], ocmSecret)
	require.Empty(t, s.in(`{"token":"eyJhbGciOi.eyJzdWIiOi.REDACTED"}`))
}

func TestRepliesThatBreakTheSpecificationAreFound(t *testing.T) {
	t.Parallel()
	const kafka = `"kind":"Kafka","href":"/x","multi_az":true,"reauthentication_enabled":true,"created_at":"2026-01-02T03:04:05Z",` +
		`"updated_at":"2026-01-02T03:04:05Z","max_data_retention_size":{}`
	const fault = `{"reason":"r","operation_id":"00000000000000000000","id":"7","kind":"Error","href":"/x","code":"KAFKAS-MGMT-7"}`
	all := loadSpecs(t)
	for name, c := range map[string]struct {
		path, id, body string
		status         int
		fits           bool
	}{
		"as promised":               {"/kafkas/x", "00000000000000000000", `{"id":"x",` + kafka + `}`, 200, true},
		"no operation id":           {"/kafkas/x", "", `{"id":"x",` + kafka + `}`, 200, false},
		"a field is missing":        {"/kafkas/x", "00000000000000000000", `{"id":"x"}`, 200, false},
		"a field of another type":   {"/kafkas/x", "00000000000000000000", `{"id":7,` + kafka + `}`, 200, false},
		"an undeclared status":      {"/kafkas/x", "00000000000000000000", `{"id":"x",` + kafka + `}`, 203, false},
		"an error":                  {"/kafkas/x", "00000000000000000000", fault, 404, true},
		"an error of another call":  {"/kafkas/x", "11111111111111111111", fault, 404, false},
		"an undeclared error":       {"/kafkas/x", "00000000000000000000", fault, 418, false},
		"an error on no route":      {"/nowhere", "00000000000000000000", fault, 404, true},
		"no error on no route":      {"/nowhere", "00000000000000000000", `{}`, 200, false},
		"an error of another shape": {"/nowhere", "00000000000000000000", `{"operation_id":"00000000000000000000"}`, 404, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+Base+c.path, http.NoBody)
			require.NoError(t, err)
			header := http.Header{"Content-Type": {"application/json"}}
			header.Set("X-Operation-Id", c.id)
			err = all.check(request, Response{Status: c.status, Header: header, Body: []byte(c.body)})
			require.Equal(t, c.fits, err == nil, "%v", err)
		})
	}
}
