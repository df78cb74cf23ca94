package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and revision are set by the linker where the build has no repository
// to look at, a container build for one.
var version, revision string

// build says what this binary was made of.
type build struct{ Version, Revision, Time, Go, Platform string }

func thisBuild() build {
	b := build{Version: version, Revision: revision, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(b.Version, info.Main.Version)
	vcs := map[string]string{}
	for _, setting := range info.Settings {
		vcs[setting.Key] = setting.Value
	}
	b.Time = vcs["vcs.time"]
	b.Revision = cmp.Or(b.Revision, vcs["vcs.revision"])
	if vcs["vcs.modified"] == "true" {
		b.Revision += " (modified)"
	}
	return b
}

func (c *commands) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Tells what this binary was built from", Args: cobra.NoArgs,
		Example: "  kas-fleet-manager version",
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			_, err := fmt.Fprintf(c.out, "kas-fleet-manager %s\nrevision  %s\ncommitted %s\nbuilt by  %s for %s\n",
				cmp.Or(b.Version, "unknown"), cmp.Or(b.Revision, "unknown"), cmp.Or(b.Time, "unknown"), b.Go, b.Platform)
			return failed(err)
		},
	}
}
