package cluster

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// version is a component's version, for ordering. Parts that are left out count
// as zero, so "2.7" is 2.7.0.
type version struct {
	numbers [3]uint64
	pre     []string // dot-separated parts of the pre-release; a release has none
	build   string
}

var (
	versionText = regexp.MustCompile(`^[vV]?(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?(?:-([0-9A-Za-z.-]{1,64}))?(?:\+([0-9A-Za-z.-]{1,64}))?$`)
	// operatorText finds the version at the end of an operator's deployment name,
	// such as strimzi-cluster-operator.v0.23.0-4.
	operatorText = regexp.MustCompile(`^[0-9A-Za-z._-]*?(\d+\.\d+\.\d+-\d+)$`)
)

func parseVersion(text string) (version, bool) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return version{}, false
	}
	var v version
	for i := range v.numbers {
		if m[i+1] != "" {
			// The pattern lets through only what fits.
			v.numbers[i], _ = strconv.ParseUint(m[i+1], 10, 64)
		}
	}
	if m[4] != "" {
		v.pre = strings.Split(m[4], ".")
	}
	v.build = m[5]
	return v, true
}

func parseOperator(name string) (version, bool) {
	m := operatorText.FindStringSubmatch(name)
	if m == nil || len(name) > 253 {
		return version{}, false
	}
	return parseVersion(m[1])
}

// compare orders by the rules of semantic versions, then by build.
func (v version) compare(w version) int {
	if c := slices.Compare(v.numbers[:], w.numbers[:]); c != 0 {
		return c
	}
	if len(v.pre) == 0 || len(w.pre) == 0 { // a release comes after its pre-releases
		if c := cmp.Compare(len(w.pre), len(v.pre)); c != 0 {
			return c
		}
		return strings.Compare(v.build, w.build)
	}
	if c := slices.CompareFunc(v.pre, w.pre, comparePart); c != 0 {
		return c
	}
	return strings.Compare(v.build, w.build)
}

// comparePart orders numbers by value and before words, and words by letter.
func comparePart(a, b string) int {
	x, xErr := strconv.ParseUint(a, 10, 64)
	y, yErr := strconv.ParseUint(b, 10, 64)
	switch {
	case xErr == nil && yErr == nil:
		return cmp.Compare(x, y)
	case xErr == nil:
		return -1
	case yErr == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// sortVersions puts the oldest first. Equal versions with different texts are
// put in order by text, so that the same set always gives the same list.
func sortVersions(in []VersionName) {
	slices.SortFunc(in, func(a, b VersionName) int {
		x, _ := parseVersion(a.Version)
		y, _ := parseVersion(b.Version)
		return cmp.Or(x.compare(y), strings.Compare(a.Version, b.Version))
	})
}

func sortOperators(in StrimziVersions) {
	slices.SortFunc(in, func(a, b StrimziVersion) int {
		x, _ := parseOperator(a.Version)
		y, _ := parseOperator(b.Version)
		return cmp.Or(x.compare(y), strings.Compare(a.Version, b.Version))
	})
}
