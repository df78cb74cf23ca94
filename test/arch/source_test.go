// Package arch holds the house to its laws: who may import whom, what each kind
// of file may touch, how things are called, and that the generated pages of docs
// are those of the code.
//
// It is for what a compiler and a linter cannot see. It reads source and calls no
// database, so it is the fastest test to run after a change. Invariant: the law
// that is printed in docs/architecture.md is the table that is checked here.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/kas-fleet/kas-fleet-manager"
	root   = "../.."
)

// file is one Go source file of the module.
type file struct {
	path      string // from the module's root, with slashes
	pkg       string // its folder
	lines     int
	test      bool
	generated bool
	tree      *ast.File
	fset      *token.FileSet
}

func (f file) name() string { return path.Base(f.path) }

// at names a place in the file, for a message that an editor understands.
func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// imports gives the file's imports by the name that the file uses for each.
func (f file) imports() map[string]string {
	found := map[string]string{}
	for _, spec := range f.tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler tells
		}
		name := path.Base(target)
		if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(target))
		}
		if spec.Name != nil {
			name = spec.Name.Name
			if name == "_" || name == "." {
				name += target // each must be seen
			}
		}
		found[name] = target
	}
	return found
}

// ours gives the folder of an imported package of this module.
func ours(target string) (string, bool) { return strings.CutPrefix(target, module+"/") }

// standard tells whether an import is of the standard library.
func standard(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return !strings.Contains(first, ".")
}

// parse makes a file from its text.
func parse(name string, text []byte) (file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	return file{
		path: name, pkg: path.Dir(name), lines: strings.Count(string(text), "\n"), fset: fset, tree: tree,
		test: strings.HasSuffix(name, "_test.go"), generated: strings.HasSuffix(name, ".gen.go"),
	}, err
}

var readSources = sync.OnceValues(func() ([]file, error) {
	var all []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		hidden := strings.HasPrefix(entry.Name(), ".") && relative != "."
		if entry.IsDir() && (hidden || relative == "tools" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parse(relative, text)
		all = append(all, f)
		return err
	})
	return all, err
})

// sources gives all Go files of the module, parsed once.
func sources(t *testing.T) []file {
	t.Helper()
	all, err := readSources()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// obeyed fails the test with every breach at once.
func obeyed(t *testing.T, breaches []string) {
	t.Helper()
	if len(breaches) > 0 {
		t.Errorf("%d breaches:\n%s", len(breaches), strings.Join(breaches, "\n"))
	}
}
