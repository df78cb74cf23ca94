package arch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/config"
)

func TestErrorsPage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString(pageHead + "# Errors\n\nThe catalogue of `internal/apierr`. A number is part of the wire and never changes its meaning. `GET " + apierr.Kafkas.BasePath +
		"/errors` lists the same table. The code on the wire is the number behind the prefix of the API: `" + apierr.Kafkas.Prefix +
		"-7`. Where the last column says so, a more exact reason follows the default text after a colon. " +
		"An error from anywhere else becomes code " + strconv.Itoa(int(apierr.General)) + "; its text goes to the log only.\n\n| code | HTTP | default text | more exact reason |\n|---|---|---|---|\n")
	for _, e := range apierr.Catalogue() {
		more := "instead"
		if e.Prefixed {
			more = "after a colon"
		}
		row(&out, strconv.Itoa(int(e.Code)), strconv.Itoa(e.Status), e.Reason, more)
	}
	fresh(t, "docs/errors.md", out.String())
}

func TestConfigPage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString(pageHead + "# Configuration\n\nA value comes from the command line, else from the flag's environment variable, else from the environment set that `OCM_ENV` names, else from the default. " +
		"`kas-fleet-manager config print` shows every value in effect with its source, `config validate` tells all problems at once.\n\n" +
		"`DATABASE_URL`, where set, takes the place of the flags `db-*-file`. Secrets are never values: flags name the files that hold them.\n")
	group := ""
	var unused []config.Flag
	for _, f := range config.Reference() {
		if f.Unused {
			unused = append(unused, f)
			continue
		}
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&out, "\n## %s\n\n| flag | variable | type | default | meaning |\n|---|---|---|---|---|\n", group)
		}
		row(&out, "`--"+f.Name+"`", "`"+f.Variable+"`", f.Type, code(f.Default), f.Meaning)
	}
	overrides(&out)
	out.WriteString("\n## Accepted without effect\n\nDeployments made for other builds of the service pass these. They are accepted and named in one warning. Mock modes are refused when they are switched on.\n\n| flag | why it has no effect |\n|---|---|\n")
	for _, f := range unused {
		row(&out, "`--"+f.Name+"`", f.Meaning)
	}
	fresh(t, "docs/config.md", out.String())
}

func overrides(out *strings.Builder) {
	sets := config.Overrides()
	known := slices.Sorted(maps.Keys(sets))
	out.WriteString("\n## What the environments set\n\nWithout `OCM_ENV` the environment is `" + string(config.Development) + "`.\n\n| flag |")
	flags := map[string]bool{}
	for _, environment := range known {
		out.WriteString(" " + string(environment) + " |")
		for flag := range sets[environment] {
			flags[flag] = true
		}
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(known)) + "\n")
	for _, flag := range slices.Sorted(maps.Keys(flags)) {
		cells := []string{"`--" + flag + "`"}
		for _, environment := range known {
			value, set := sets[environment][flag]
			if !set {
				cells = append(cells, "")
				continue
			}
			cells = append(cells, code(value))
		}
		row(out, cells...)
	}
}

func code(value string) string {
	if value == "" {
		return "empty"
	}
	return "`" + value + "`"
}
