package arch

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	link       = regexp.MustCompile(`\]\(([^)#]*)#?([^)]*)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	unlinkable = regexp.MustCompile(`[^a-z0-9 -]`)
	pathInText = regexp.MustCompile("`((?:internal|cmd|test|docs|openapi|pkg|tools)/[A-Za-z0-9_./-]+)`")
)

// TestPagesNameWhatExists: docs rot when the files that they name move.
func TestPagesNameWhatExists(t *testing.T) {
	t.Parallel()
	var breaches []string
	for _, page := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, page))
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := path.Join(path.Dir(page), m[1])
			if m[1] == "" {
				target = page
			}
			switch {
			case strings.Contains(m[1], "://"):
			case !exists(target):
				breaches = append(breaches, page+": links to "+target+", which is not there")
			case m[2] != "" && !slices.Contains(anchors(t, target), m[2]):
				breaches = append(breaches, page+": links to "+target+"#"+m[2]+", which is no heading there")
			}
		}
		for _, m := range pathInText.FindAllStringSubmatch(string(text), -1) {
			if !exists(m[1]) {
				breaches = append(breaches, page+": names "+m[1]+", which is not there")
			}
		}
	}
	obeyed(t, breaches)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, strings.TrimSuffix(name, "/...")))
	return err == nil
}

// anchors are the names by which a page's headings can be linked to.
func anchors(t *testing.T, page string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		plain := unlinkable.ReplaceAllString(strings.ToLower(m[1]), "")
		found = append(found, strings.ReplaceAll(plain, " ", "-"))
	}
	return found
}

// pages are all Markdown files, from the module's root.
func pages(t *testing.T) (found []string) {
	t.Helper()
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	require.NoError(t, err)
	for _, name := range top {
		found = append(found, filepath.Base(name))
	}
	require.NoError(t, fs.WalkDir(os.DirFS(root), "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".md") {
			found = append(found, name)
		}
		return err
	}))
	require.NotEmpty(t, found)
	return found
}
