package catalog

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// Usual places of the two files.
const (
	DefaultInstanceTypesFile = "config/kafka-instance-types-configuration.yaml"
	DefaultProvidersFile     = "config/provider-configuration.yaml"
)

//go:embed defaults/*.yaml
var defaults embed.FS

type instanceTypesFile struct {
	Types []InstanceType `yaml:"supported_instance_types"`
}

type providersFile struct {
	Providers []struct {
		Name    string `yaml:"name"`
		Default bool   `yaml:"default"`
		Regions []struct {
			Name    string                    `yaml:"name"`
			Default bool                      `yaml:"default"`
			Types   map[string]regionTypeFile `yaml:"supported_instance_type"`
		} `yaml:"regions"`
	} `yaml:"supported_providers"`
}

type regionTypeFile struct {
	Limit    Limit `yaml:"limit"`
	MinSlack int   `yaml:"min_available_capacity_slack_streaming_units"`
}

// Load reads and checks both files and tells everything that is wrong with them.
func Load(c Config) (*Catalog, error) {
	types, typesErr := loadTypes(c.InstanceTypesFile)
	known := func(id string) bool {
		return typesErr != nil || slices.ContainsFunc(types, func(t InstanceType) bool { return t.ID == id })
	}
	providers, providersErr := loadProviders(c.ProvidersFile, known)
	if err := errors.Join(typesErr, providersErr); err != nil {
		return nil, err
	}
	return &Catalog{types: types, providers: providers}, nil
}

func loadTypes(path string) ([]InstanceType, error) {
	raw, name, err := read(path, DefaultInstanceTypesFile)
	if err != nil {
		return nil, err
	}
	var file instanceTypesFile
	if err := configfile.Decode(name, raw, &file); err != nil {
		return nil, err
	}
	var problems configfile.Problems
	checkTypes(&problems, file.Types)
	return file.Types, problems.Err(name, raw)
}

func loadProviders(path string, knownType func(string) bool) ([]Provider, error) {
	raw, name, err := read(path, DefaultProvidersFile)
	if err != nil {
		return nil, err
	}
	var file providersFile
	if err := configfile.Decode(name, raw, &file); err != nil {
		return nil, err
	}
	providers := file.values()
	var problems configfile.Problems
	checkProviders(&problems, providers, knownType)
	return providers, problems.Err(name, raw)
}

func read(path, usual string) (raw []byte, name string, err error) {
	content, err := defaults.ReadFile("defaults/" + usual[len("config/"):])
	if err != nil {
		return nil, "", fmt.Errorf("reading embedded configuration: %w", err)
	}
	return configfile.Read(path, configfile.Fallback{Path: usual, Content: content})
}

func (f providersFile) values() []Provider {
	var providers []Provider
	for _, p := range f.Providers {
		provider := Provider{Name: p.Name, Default: p.Default}
		for _, r := range p.Regions {
			region := Region{Name: r.Name, Default: r.Default}
			for _, id := range slices.Sorted(maps.Keys(r.Types)) {
				t := r.Types[id]
				region.Types = append(region.Types, RegionType{ID: id, Limit: t.Limit, MinSlack: t.MinSlack})
			}
			provider.Regions = append(provider.Regions, region)
		}
		providers = append(providers, provider)
	}
	return providers
}
