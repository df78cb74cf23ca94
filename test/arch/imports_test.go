package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestImportLaw(t *testing.T) {
	t.Parallel()
	obeyed(t, importBreaches(sources(t)))
}

// TestTheLawGrantsNoMoreThanIsUsed: an arrow that the table allows and nobody
// drew is an invitation that nobody decided on.
func TestTheLawGrantsNoMoreThanIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range sources(t) {
		r, known := roomOf(f.pkg)
		if f.test || !known {
			continue
		}
		for _, pattern := range r.packages {
			used[r.name+": package "+pattern] = used[r.name+": package "+pattern] || fits(pattern, f.pkg)
		}
		for _, target := range f.imports() {
			for _, grant := range slices.Concat(r.ours, r.libraries) {
				one := room{ours: []string{grant}, libraries: []string{grant}}
				used[r.name+": "+grant] = used[r.name+": "+grant] || !standard(target) && one.allows(f.pkg, target)
			}
		}
	}
	var breaches []string
	for line, ok := range used {
		if !ok && !strings.HasSuffix(line, anything) {
			breaches = append(breaches, line+" is in the law and in no code")
		}
	}
	for _, r := range law() {
		if !slices.ContainsFunc(sources(t), func(f file) bool { return fitsAny(r.packages, f.pkg) }) {
			breaches = append(breaches, r.name+": no package is in this room")
		}
	}
	slices.Sort(breaches)
	obeyed(t, breaches)
}

// fits tells whether a package is one of a pattern.
func fits(pattern, pkg string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == folder || strings.HasPrefix(pkg, folder+"/")
	}
	if folder, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(pkg) == folder
	}
	return pattern == pkg
}

func fitsAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return p == anything || fits(p, pkg) })
}

func roomOf(pkg string) (room, bool) {
	for _, r := range law() {
		if fitsAny(r.packages, pkg) {
			return r, true
		}
	}
	return room{}, false
}

func (r room) allows(from, target string) bool {
	if inner, ok := ours(target); ok {
		return fitsAny(r.ours, inner) || slices.Contains(r.ours, itsCore) && inner == path.Dir(from)
	}
	return standard(target) || slices.ContainsFunc(r.libraries, func(l string) bool {
		return l == anything || target == l || strings.HasPrefix(target, l+"/")
	})
}

// importBreaches checks what ships by the table, and all files by the reservations.
func importBreaches(all []file) (breaches []string) {
	for _, f := range all {
		r, known := roomOf(f.pkg)
		if !known {
			breaches = append(breaches, fmt.Sprintf("%s: package %s is in no room of the import law", f.path, f.pkg))
			continue
		}
		for _, target := range f.imports() {
			if !f.test && !r.allows(f.pkg, target) {
				breaches = append(breaches, fmt.Sprintf("%s: %s (%s) may not import %s", f.path, f.pkg, r.name, target))
			}
			breaches = append(breaches, trespasses(f, target)...)
		}
	}
	slices.Sort(breaches)
	return slices.Compact(breaches)
}

func trespasses(f file, target string) (breaches []string) {
	inner, ok := ours(target)
	if !ok {
		return nil
	}
	for _, r := range reserved() {
		if !fits(r.target, inner) || fitsAny(r.by, f.pkg) || inner == f.pkg || f.test && r.freely {
			continue
		}
		breaches = append(breaches, fmt.Sprintf("%s: only %s may import %s: %s", f.path, strings.Join(r.by, ", "), inner, r.why))
	}
	return breaches
}
