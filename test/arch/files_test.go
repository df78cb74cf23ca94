package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestLibrariesStayInTheirFiles(t *testing.T) {
	t.Parallel()
	obeyed(t, territoryBreaches(sources(t)))
}

func TestPureFilesDecideOnValuesOnly(t *testing.T) {
	t.Parallel()
	obeyed(t, purityBreaches(sources(t)))
}

func TestRowsAreWrittenByNamedColumns(t *testing.T) {
	t.Parallel()
	obeyed(t, writeBreaches(sources(t)))
}

// covers tells whether a file lies in the packages that the line is about.
func (l territory) covers(f file) bool {
	return !f.test && !f.generated && fitsAny(l.rooms, f.pkg) && !fitsAny(l.except, f.pkg)
}

// names tells whether a file's name is one of the line's.
func (l territory) names(f file) bool {
	return slices.ContainsFunc(l.files, func(pattern string) bool {
		ok, err := path.Match(pattern, f.name())
		return ok && err == nil
	})
}

func territoryBreaches(all []file) (breaches []string) {
	for _, f := range all {
		for library, l := range territories() {
			if !l.covers(f) || l.names(f) {
				continue
			}
			for _, target := range f.imports() {
				if target == library || strings.HasPrefix(target, library+"/") {
					breaches = append(breaches, fmt.Sprintf("%s: %s belongs into %s: %s", f.path, l.name, strings.Join(l.files, ", "), l.why))
				}
			}
		}
		// Whoever holds a transaction could reach gorm without importing it.
		if l := territories()[gorm]; l.covers(f) && !l.names(f) {
			for _, call := range methodCalls(f, "Gorm") {
				breaches = append(breaches, fmt.Sprintf("%s: gorm belongs into %s: %s", f.at(call), strings.Join(l.files, ", "), l.why))
			}
		}
	}
	return breaches
}

// impure are the imports and calls that a decision cannot have.
func impure() (imports []string, calls map[string][]string) {
	return []string{"context", gorm, "database/sql", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "net", "net/http", "os", "sync", xid,
			module + "/internal/log", module + "/internal/db", module + "/internal/clock"},
		map[string][]string{"time": {"Now", "Since", "Until", "After", "AfterFunc", "Tick", "Sleep", "NewTimer", "NewTicker"}}
}

func purityBreaches(all []file) (breaches []string) {
	line := pureFiles()
	imports, calls := impure()
	for _, f := range all {
		if !line.covers(f) || !line.names(f) {
			continue
		}
		names := f.imports()
		for _, target := range names {
			if slices.Contains(imports, target) {
				breaches = append(breaches, fmt.Sprintf("%s: a pure file may not import %s", f.path, target))
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(calls[names[x.Name]], selector.Sel.Name) {
				breaches = append(breaches, fmt.Sprintf("%s: a pure file is given the time, it does not read it", f.at(n)))
			}
			return true
		})
	}
	return breaches
}

// methodCalls finds calls x.name(…) where x is not an imported package.
func methodCalls(f file, name string) (found []ast.Node) {
	imports := f.imports()
	ast.Inspect(f.tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != name {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && imports[x.Name] != "" && x.Obj == nil {
			return true
		}
		found = append(found, n)
		return true
	})
	return found
}

// The tables whose status has a life cycle, in an UPDATE that names the column.
var statusUpdate = regexp.MustCompile(`(?is)\bupdate\s+(kafka_requests|clusters)\b.*\bset\b.*\bstatus\s*=.*(\bwhere\b|$)`)

// writeBreaches finds whole-row saves, and statuses written elsewhere than by Apply.
func writeBreaches(all []file) (breaches []string) {
	for _, f := range all {
		if f.test || f.generated || !fits("internal/...", f.pkg) {
			continue
		}
		for _, call := range methodCalls(f, "Save") {
			breaches = append(breaches, f.at(call)+": Save writes every column, also those that somebody else just changed; name them")
		}
		if f.name() == "store_write.go" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if writesStatus(n) {
				breaches = append(breaches, f.at(n)+": a status is written by Apply in store_write.go and nowhere else")
			}
			return true
		})
	}
	return breaches
}

func writesStatus(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt: // set["status"] = …
		return slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool {
			index, ok := e.(*ast.IndexExpr)
			return ok && text(index.Index) == "status"
		})
	case *ast.CompositeLit: // Columns{"status": …}
		return columnsType(n.Type) && slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
			pair, ok := e.(*ast.KeyValueExpr)
			return ok && text(pair.Key) == "status"
		})
	case *ast.CallExpr: // db.Update("status", …)
		selector, ok := n.Fun.(*ast.SelectorExpr)
		return ok && strings.HasPrefix(selector.Sel.Name, "Update") && len(n.Args) > 0 && text(n.Args[0]) == "status"
	case *ast.BasicLit: // UPDATE … SET status = …
		before, _, _ := strings.Cut(strings.ToLower(text(n)), "where")
		return statusUpdate.MatchString(before)
	}
	return false
}

// columnsType tells whether a literal is a set of columns: Columns, kafka.Columns, map[string]any.
func columnsType(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Columns"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Columns"
	case *ast.MapType:
		value, ok := e.Value.(*ast.Ident)
		return ok && value.Name == "any"
	}
	return false
}

// text gives the value of a string literal.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}
