package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// longest is how many lines a file may have without a reason.
const longest = 500

// longFiles says why a file may be longer.
func longFiles() map[string]string { return map[string]string{} }

func TestNamesSayWhatAThingIs(t *testing.T) {
	t.Parallel()
	obeyed(t, nameBreaches(sources(t)))
}

func TestFilesAreShortEnoughToRead(t *testing.T) {
	t.Parallel()
	obeyed(t, lengthBreaches(sources(t)))
}

func TestNothingHappensBeforeMain(t *testing.T) {
	t.Parallel()
	obeyed(t, append(initBreaches(sources(t)), variableBreaches(sources(t))...))
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	obeyed(t, headBreaches(sources(t)))
}

// emptyNames say nothing about what is inside.
func emptyNames() []string {
	return []string{"util", "utils", "common", "helper", "helpers", "shared", "types", "constants", "models", "manager", "base", "impl", "misc"}
}

func nameBreaches(all []file) (breaches []string) {
	for _, f := range all {
		for _, name := range []string{path.Base(f.pkg), strings.TrimSuffix(f.tree.Name.Name, "_test"), strings.TrimSuffix(strings.TrimSuffix(f.name(), ".go"), "_test")} {
			if slices.Contains(emptyNames(), name) {
				breaches = append(breaches, fmt.Sprintf("%s: the name %q says nothing", f.path, name))
			}
		}
	}
	return breaches
}

func lengthBreaches(all []file) (breaches []string) {
	for _, f := range all {
		_, excused := longFiles()[f.path]
		if !f.generated && f.lines > longest && !excused {
			breaches = append(breaches, fmt.Sprintf("%s: %d lines; split it, or give a reason in longFiles", f.path, f.lines))
		}
	}
	return breaches
}

func initBreaches(all []file) (breaches []string) {
	for _, f := range all {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.generated {
				breaches = append(breaches, f.at(d)+": no init: wiring happens in internal/app, in sight")
			}
		}
	}
	return breaches
}

// variableBreaches finds package-level variables that are born empty or written
// to later. Tests and the sandbox may have theirs; so may generated code.
func variableBreaches(all []file) (breaches []string) {
	packages := map[string][]file{}
	for _, f := range all {
		if !f.test && !f.generated && !fits("test/...", f.pkg) {
			packages[f.pkg] = append(packages[f.pkg], f)
		}
	}
	for _, files := range packages {
		specs := map[string]*ast.ValueSpec{}
		for _, f := range files {
			breaches = append(breaches, emptyVariables(f, specs)...)
		}
		for _, f := range files {
			breaches = append(breaches, writtenVariables(f, specs)...)
		}
	}
	slices.Sort(breaches)
	return breaches
}

// emptyVariables notes the package's variables and tells which have no value.
// Those of the linker (-X) and of go:embed are given theirs by the build.
func emptyVariables(f file, specs map[string]*ast.ValueSpec) (breaches []string) {
	for _, d := range f.tree.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, s := range group.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for _, name := range spec.Names {
				specs[name.Name] = spec
				plain, isText := spec.Type.(*ast.Ident)
				linked := f.tree.Name.Name == "main" && isText && plain.Name == "string"
				if len(spec.Values) == 0 && name.Name != "_" && !embedded(group) && !linked {
					breaches = append(breaches, f.at(spec)+": variable "+name.Name+" of the package is born empty: somebody fills it later")
				}
			}
		}
	}
	return breaches
}

func embedded(group *ast.GenDecl) bool {
	return group.Doc != nil && slices.ContainsFunc(group.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

func writtenVariables(f file, specs map[string]*ast.ValueSpec) (breaches []string) {
	written := func(e ast.Expr) {
		name := rootOf(e)
		if name == nil {
			return
		}
		spec, known := specs[name.Name]
		if !known || name.Obj != nil && name.Obj.Decl != any(spec) { // a local of the same name
			return
		}
		breaches = append(breaches, f.at(e)+": variable "+name.Name+" of the package is changed while the process runs")
	}
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, left := range n.Lhs {
						written(left)
					}
				}
			case *ast.IncDecStmt:
				written(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					written(n.X)
				}
			}
			return true
		})
	}
	return breaches
}

// rootOf finds x in x, x.f, x[i], *x and (x).
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch inner := e.(type) {
		case *ast.Ident:
			return inner
		case *ast.SelectorExpr:
			e = inner.X
		case *ast.IndexExpr:
			e = inner.X
		case *ast.StarExpr:
			e = inner.X
		case *ast.ParenExpr:
			e = inner.X
		default:
			return nil
		}
	}
}

// headBreaches wants one head comment per package, and within internal its invariant.
func headBreaches(all []file) (breaches []string) {
	heads := map[string]string{}
	for _, f := range all {
		if f.generated || f.test && !strings.HasPrefix(f.pkg, "test/") {
			continue
		}
		heads[f.pkg] += f.tree.Doc.Text()
	}
	for pkg, head := range heads {
		switch {
		case head == "":
			breaches = append(breaches, pkg+": no comment says what the package is for")
		case strings.HasPrefix(pkg, "internal/") && !strings.Contains(head, "nvariant"):
			breaches = append(breaches, pkg+": the head comment does not name the package's invariant")
		}
	}
	slices.Sort(breaches)
	return breaches
}
