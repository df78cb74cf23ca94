// Package openapi holds the hand-written specifications of the HTTP APIs, the
// source of truth for what goes over the wire, and gives them to the code that
// serves them.
//
// It is not for the types and routers generated from them: those are in pkg/api.
// Invariant: each document stands alone, without references to other files, so
// that it can be served as it is.
package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed kas-fleet-manager.yaml
var publicYAML []byte

//go:embed kas-fleet-manager-private.yaml
var agentYAML []byte

//go:embed kas-fleet-manager-private-admin.yaml
var adminYAML []byte

// PublicYAML gives a copy of the document of the customer API.
func PublicYAML() []byte { return append([]byte(nil), publicYAML...) }

// AgentYAML gives a copy of the document of the agent API.
func AgentYAML() []byte { return append([]byte(nil), agentYAML...) }

// AdminYAML gives a copy of the document of the admin API.
func AdminYAML() []byte { return append([]byte(nil), adminYAML...) }

// PublicJSON gives the document of the customer API as JSON. All callers share
// the bytes: read them only.
var PublicJSON = sync.OnceValue(func() json.RawMessage { return mustConvert(publicYAML) })

// AgentJSON is PublicJSON for the document of the agent API.
var AgentJSON = sync.OnceValue(func() json.RawMessage { return mustConvert(agentYAML) })

// AdminJSON is PublicJSON for the document of the admin API.
var AdminJSON = sync.OnceValue(func() json.RawMessage { return mustConvert(adminYAML) })

func mustConvert(document []byte) json.RawMessage {
	converted, err := toJSON(document)
	if err != nil {
		// The documents are part of the binary and the tests convert them, so this is a broken build.
		panic(fmt.Sprintf("converting a document: %v", err))
	}
	return converted
}

func toJSON(document []byte) (json.RawMessage, error) {
	var tree any
	if err := yaml.Unmarshal(document, &tree); err != nil {
		return nil, fmt.Errorf("reading YAML: %w", err)
	}
	converted, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return converted, nil
}
