package config

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Flag is one line of the flag reference.
type Flag struct {
	Name     string
	Variable string
	Type     string
	Default  string
	Group    string
	Meaning  string
	Unused   bool // accepted without effect
}

// Reference lists all flags, group by group, for the docs.
func Reference() []Flag {
	s := New(nil)
	var all []Flag
	s.each(func(group string, flag *pflag.Flag) {
		all = append(all, Flag{
			Name: flag.Name, Variable: Variable(flag.Name), Type: flag.Value.Type(), Default: s.defaults[flag.Name],
			Group: group, Meaning: flag.Usage, Unused: unusedFlag(flag),
		})
	})
	return all
}

// Overrides gives what each environment sets instead of the defaults, for the docs.
func Overrides() map[Environment]map[string]string {
	all := map[Environment]map[string]string{}
	for _, name := range environments() {
		all[Environment(name)] = Environment(name).defaults()
	}
	return all
}

// Print writes each flag with its value and where that comes from. Secrets are in
// files of which only the paths are shown.
func (s *Settings) Print(w io.Writer) error {
	var rows []string
	if s.Config.DB.URL != "" {
		rows = append(rows, row(databaseURL, log.Redacted, "variable "+databaseURL))
	}
	s.each(func(_ string, flag *pflag.Flag) {
		if source := s.sources[flag.Name]; !unusedFlag(flag) || source != FromDefault {
			rows = append(rows, row(flag.Name, shown(flag.Value.String()), source))
		}
	})
	slices.Sort(rows)
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if _, err := io.WriteString(table, row("NAME", "VALUE", "SOURCE")+strings.Join(rows, "")); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return table.Flush()
}

func row(name, value string, source Source) string {
	return name + "\t" + value + "\t" + string(source) + "\n"
}

// shown hides a password that somebody put into a URL.
func shown(value string) string {
	if value == "" {
		return `""`
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		u.User = url.User(log.Redacted)
		return u.String()
	}
	return value
}

// Usage describes the flags for the help of a command, all groups or the named ones.
func (s *Settings) Usage(groups ...string) string {
	var out strings.Builder
	for _, fs := range s.groups {
		if fs.HasAvailableFlags() && (len(groups) == 0 || slices.Contains(groups, fs.Name())) {
			fmt.Fprintf(&out, "%s:\n%s\n", fs.Name(), fs.FlagUsagesWrapped(140))
		}
	}
	return out.String()
}

// DatabaseUsage describes the flags of commands that need only the database.
func (s *Settings) DatabaseUsage() string { return s.Usage(databaseGroup) }
