package scenario

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden bodies anew; then read every difference against the contract")

// What differs from run to run, and what stands for it.
var placeholders = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-v]{20}\b`), "<id>"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`), `"<time>"`},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`("(?:password|client_secret)":\s?)"[^"]+"`), `$1"<secret>"`},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://<host>"},
}

// golden compares a body with testdata/<name>.json, the order of its fields included.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	if len(body) > 0 {
		var indented bytes.Buffer
		require.NoError(t, json.Indent(&indented, bytes.TrimSpace(body), "", "  "), "%s", body)
		body = indented.Bytes()
	}
	for _, p := range placeholders {
		body = p.pattern.ReplaceAll(body, []byte(p.with))
	}
	body = append(body, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, body, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(body))
}
