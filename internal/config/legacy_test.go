package config

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestNoPartOfTheConfigurationIsCalledUnused(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, section := range new(Config).sections() {
		section.flags(fs)
	}
	for _, u := range unusedFlags() {
		require.Nil(t, fs.Lookup(u.name), "%s has an effect now: take its line out of legacy.go", u.name)
	}
}
