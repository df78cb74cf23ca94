package arch

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the generated pages of docs")

// pageHead heads every page that is made from code.
const pageHead = "<!-- Made from the code by `make generate`. Do not edit. -->\n\n"

// fresh compares a page with what the code says now, or rewrites it.
func fresh(t *testing.T, page, want string) {
	t.Helper()
	name := filepath.Join(root, page)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(want), 0o644))
	}
	have, err := os.ReadFile(name)
	require.NoError(t, err)
	if want != string(have) {
		t.Errorf("%s does not say what the code does; run make generate\n%s", page, firstDifference(want, string(have)))
	}
}

// firstDifference is enough to see what happened; the pages are long.
func firstDifference(want, have string) string {
	wanted, found := strings.Split(want, "\n"), strings.Split(have, "\n")
	for i := range min(len(wanted), len(found)) {
		if wanted[i] != found[i] {
			return fmt.Sprintf("line %d\n page: %s\n code: %s", i+1, found[i], wanted[i])
		}
	}
	return fmt.Sprintf("the page has %d lines, the code makes %d", len(found), len(wanted))
}

// Where the import law stands in the page on architecture.
const (
	lawBegins = "<!-- the import law begins -->\n"
	lawEnds   = "<!-- the import law ends -->\n"
)

func TestArchitecturePageShowsTheLaw(t *testing.T) {
	t.Parallel()
	const page = "docs/architecture.md"
	text, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), lawBegins)
	require.True(t, ok, "%s has lost the mark %q", page, lawBegins)
	_, after, ok := strings.Cut(rest, lawEnds)
	require.True(t, ok, "%s has lost the mark %q", page, lawEnds)
	fresh(t, page, before+lawBegins+lawTables()+lawEnds+after)
}

func lawTables() string {
	var out strings.Builder
	out.WriteString("\n| room | packages | may import of ours | libraries | because |\n|---|---|---|---|---|\n")
	for _, r := range law() {
		row(&out, r.name, codes(r.packages), codes(r.ours), codes(r.libraries), r.why)
	}
	out.WriteString("\nEverybody may import the standard library. The first line that fits a package holds; paths within `internal` are shortened. Tests beside the code (`_test.go`) are free, save for this:\n\n" +
		"| only these | may import | because |\n|---|---|---|\n")
	for _, r := range reserved() {
		by := codes(r.by)
		if r.freely {
			by += " and all `_test.go`"
		}
		row(&out, by, codes([]string{r.target}), r.why)
	}
	out.WriteString("\nWithin `internal` some things live in one kind of file only:\n\n| what | files | except in | because |\n|---|---|---|---|\n")
	for _, library := range []string{gorm, prom, pflag} {
		l := territories()[library]
		row(&out, l.name, codes(l.files), codes(l.except), l.why)
	}
	pure := pureFiles()
	row(&out, "no context, clock, randomness, log, database", codes(pure.files)+" of "+codes(pure.rooms), "", pure.why)
	row(&out, "writing a status", codes([]string{"store_write.go"}), "", "Apply is its only writer")
	out.WriteString("\n")
	return out.String()
}

func row(out *strings.Builder, cells ...string) {
	for _, cell := range cells {
		out.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	out.WriteString("|\n")
}

func codes(list []string) string {
	shown := make([]string, 0, len(list))
	for _, item := range list {
		switch item {
		case anything, itsCore:
			shown = append(shown, item)
		case "internal/...":
			shown = append(shown, "all of internal")
		default:
			shown = append(shown, "`"+strings.TrimPrefix(item, "internal/")+"`")
		}
	}
	if len(shown) == 0 {
		return "–"
	}
	return strings.Join(shown, " ")
}
