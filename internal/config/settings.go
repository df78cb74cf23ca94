package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	// prefix begins the environment variable of each flag.
	prefix = "KFM_"
	// databaseURL takes the place of the db-*-file flags.
	databaseURL = "DATABASE_URL"
	// logLevelVariable meant something to other builds of the service.
	logLevelVariable = "LOGLEVEL"
)

// Source says where a value comes from.
type Source string

// The sources that need no name.
const (
	FromDefault     Source = "default"
	FromCommandLine Source = "command line"
)

// Settings is a configuration in the making: flags bound to it, values found for
// them, and where each was found.
type Settings struct {
	Config Config

	environ     map[string]string
	environment map[string]string // what the environment sets
	problems    []error
	groups      []*pflag.FlagSet
	defaults    map[string]string
	sources     map[string]Source
	warnings    []string
}

// New declares all flags. The environment is that of os.Environ.
func New(environ []string) *Settings {
	s := &Settings{environ: map[string]string{}, defaults: map[string]string{}, sources: map[string]Source{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		s.environ[name] = value
	}
	environment, err := parseEnvironment(s.environ[environmentVariable])
	if err != nil {
		s.problems = append(s.problems, err)
	}
	s.Config.Environment, s.environment = environment, environment.defaults()
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, section := range s.Config.sections() {
		fs := pflag.NewFlagSet(section.group, pflag.ContinueOnError)
		section.flags(fs)
		all.AddFlagSet(fs)
		s.groups = append(s.groups, fs)
	}
	s.groups = append(s.groups, unusedFlagSet(func(name string) bool { return all.Lookup(name) != nil }))
	s.each(func(_ string, flag *pflag.Flag) {
		s.defaults[flag.Name] = flag.DefValue
		if value, ok := s.environment[flag.Name]; ok && !unusedFlag(flag) {
			flag.DefValue = value // help shows what holds in this environment
		}
	})
	return s
}

// Bind adds the flags to a command.
func (s *Settings) Bind(fs *pflag.FlagSet) {
	for _, group := range s.groups {
		fs.AddFlagSet(group)
	}
}

// Resolve finds the value of each flag that the command line, parsed before, does
// not set: environment variable, environment, default, in this order.
func (s *Settings) Resolve() error {
	problems := slices.Clone(s.problems)
	var set []string
	s.each(func(_ string, flag *pflag.Flag) {
		source, err := s.resolve(flag)
		s.sources[flag.Name] = source
		if err == nil && source != FromDefault && unusedFlag(flag) {
			set = append(set, flag.Name)
			err = refusedMock(flag.Name, flag.Value.String())
		}
		problems = append(problems, err)
	})
	s.Config.DB.URL = log.Secret(s.environ[databaseURL])
	s.warn(set)
	return errors.Join(problems...)
}

func (s *Settings) resolve(flag *pflag.Flag) (Source, error) {
	if flag.Changed {
		return FromCommandLine, nil
	}
	if value, ok := s.environ[Variable(flag.Name)]; ok {
		if err := flag.Value.Set(value); err != nil {
			return FromDefault, fmt.Errorf("%s: %q does not fit a %s", Variable(flag.Name), value, flag.Value.Type())
		}
		return Source("variable " + Variable(flag.Name)), nil
	}
	if value, ok := s.environment[flag.Name]; ok && !unusedFlag(flag) {
		if err := flag.Value.Set(value); err != nil {
			return FromDefault, fmt.Errorf("setting %s for %s: %w", flag.Name, s.Config.Environment, err)
		}
		return Source(environmentVariable + "=" + string(s.Config.Environment)), nil
	}
	return FromDefault, nil
}

// warn notes what is set in vain. An unknown variable is no error: platforms make
// variables of their own out of the names of services.
func (s *Settings) warn(unused []string) {
	s.warnings = nil
	if len(unused) > 0 {
		slices.Sort(unused)
		s.warnings = append(s.warnings, unusedWarning(unused))
	}
	known := map[string]bool{}
	s.each(func(_ string, flag *pflag.Flag) { known[Variable(flag.Name)] = true })
	for _, name := range slices.Sorted(maps.Keys(s.environ)) {
		if strings.HasPrefix(name, prefix) && !known[name] {
			s.warnings = append(s.warnings, "environment variable "+name+" belongs to no flag")
		}
	}
	if _, ok := s.environ[logLevelVariable]; ok {
		s.warnings = append(s.warnings, "environment variable "+logLevelVariable+" has no effect; use "+Variable("log-level"))
	}
}

// Warnings tells, after Resolve, what is set in vain.
func (s *Settings) Warnings() []string { return slices.Clone(s.warnings) }

// Variable is the environment variable of a flag.
func Variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// each visits all flags, group by group, in the order of their names.
func (s *Settings) each(visit func(group string, flag *pflag.Flag)) {
	for _, fs := range s.groups {
		fs.VisitAll(func(flag *pflag.Flag) { visit(fs.Name(), flag) })
	}
}

func unusedFlag(flag *pflag.Flag) bool {
	_, unused := flag.Value.(*unusedValue)
	return unused
}
