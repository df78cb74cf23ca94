package compat

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	namedTest = regexp.MustCompile("`(Test[A-Za-z]+)`")
	writtenAs = regexp.MustCompile(`(?m)^func (Test[A-Za-z]+)\(t \*testing\.T\)`)
)

// TestThePageNamesAllTests: docs/clients.md says where each rule is tested, so it must
// not name what is not there, nor forget any.
func TestThePageNamesAllTests(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "sdk/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			for _, name := range found(t, file, writtenAs) {
				there[name] = true
			}
		}
	}
	delete(there, "TestThePageNamesAllTests")
	require.Greater(t, len(there), 20)
	named := found(t, "../../docs/clients.md", namedTest)
	for name := range there {
		require.Contains(t, named, name, "the page does not say what it is for")
	}
	for _, name := range named {
		require.True(t, there[name], "%s is no test", name)
	}
}

func found(t *testing.T, file string, pattern *regexp.Regexp) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var names []string
	for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}
