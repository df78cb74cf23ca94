package access

import (
	"fmt"
	"log/slog"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// list is a set of user names or organisation ids.
type list map[string]bool

// readList reads a list that changes with its file. A list that is switched off is
// not read: its file need not exist.
func readList(enabled bool, path, usualPath string, logger *slog.Logger) (*configfile.Live[list], error) {
	if !enabled {
		path = ""
	}
	return configfile.NewLive(configfile.Source[list]{
		Path: path, Fallback: configfile.Fallback{Path: usualPath, Content: []byte("[]")},
		Parse: parseList, Logger: logger,
	})
}

// CheckFiles tells what is wrong with the files that New will read.
func (c Config) CheckFiles() error {
	g := &Guard{config: c, around: Surroundings{Logger: slog.New(slog.DiscardHandler)}}
	return g.readFiles()
}

func about(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// parseList takes numbers as they are written, since organisation ids often go without quotes.
func parseList(name string, raw []byte) (list, error) {
	var entries []string
	if err := configfile.Decode(name, raw, &entries); err != nil {
		return nil, err
	}
	var problems configfile.Problems
	names := make(list, len(entries))
	for i, entry := range entries {
		if entry == "" {
			problems.Addf(configfile.Place{i}, "must not be empty")
		}
		names[entry] = true
	}
	return names, problems.Err(name, raw)
}

// parseKeysFile takes an unset file for one without keys.
func parseKeysFile(name string, raw []byte) (keyMap, error) {
	if len(raw) == 0 {
		return keyMap{}, nil
	}
	keys, err := parseKeys(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}
