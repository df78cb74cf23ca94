package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	lineOf     = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	unknownKey = regexp.MustCompile(`^field (.*) not found in type .*$`)
	wrongKind  = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: (`.*`))? into (.*)$")
)

// Decode reads one YAML document strictly into a value: unknown and repeated
// keys are errors, and all mistakes are told at once, each with name and line.
// Types with an UnmarshalYAML method must not hold keys: the strictness of the
// decoder does not reach into them. An empty document leaves into as it is.
func Decode(name string, raw []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return locate(name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one YAML document", name)
	}
	return nil
}

// locate turns the decoder's error into one error per mistake.
func locate(name string, err error) error {
	var mistakes *yaml.TypeError
	if !errors.As(err, &mistakes) {
		return mistake(name, err.Error())
	}
	all := make([]error, 0, len(mistakes.Errors))
	for _, text := range mistakes.Errors {
		all = append(all, mistake(name, text))
	}
	return errors.Join(all...)
}

// mistake says it in the operator's words: the decoder speaks of Go types.
func mistake(name, text string) error {
	if m := lineOf.FindStringSubmatch(text); m != nil {
		name, text = name+":"+m[1], m[2]
	}
	text = strings.TrimPrefix(text, "yaml: ")
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		text = "unknown key " + strconv.Quote(m[1])
	} else if m := wrongKind.FindStringSubmatch(text); m != nil {
		text = strings.TrimSpace("expected " + kindName(m[3]) + ", found " + m[1] + " " + m[2])
	}
	return errors.New(name + ": " + text)
}

func kindName(goType string) string {
	goType = strings.TrimPrefix(goType, "*")
	switch {
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "an integer"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case goType == "bool":
		return "a boolean"
	case goType == "string":
		return "a text"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	default:
		return "a mapping"
	}
}

// Place is where a value stands in a document: keys (string) and list positions (int).
type Place []any

// At gives the place below this one.
func (p Place) At(steps ...any) Place {
	return append(append(Place{}, p...), steps...)
}

// String writes the place like supported_providers[0].regions[1].name.
func (p Place) String() string {
	var out strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&out, "[%d]", step)
		default:
			if out.Len() > 0 {
				out.WriteByte('.')
			}
			fmt.Fprint(&out, step)
		}
	}
	return out.String()
}

// Problems collects what is wrong with the values of a well-formed file, so that
// rules over plain values can speak of places and the operator reads lines.
type Problems struct{ found []problem }

type problem struct {
	place Place
	text  string
}

// Addf notes a problem. The format is a constant of the program.
func (p *Problems) Addf(place Place, format string, args ...any) {
	p.found = append(p.found, problem{place, fmt.Sprintf(format, args...)})
}

// Err gives all problems with name and line, nil when there are none.
func (p *Problems) Err(name string, raw []byte) error {
	if len(p.found) == 0 {
		return nil
	}
	var root yaml.Node
	// The document was decoded before: an error here only costs the lines.
	_ = yaml.Unmarshal(raw, &root)
	all := make([]error, 0, len(p.found))
	for _, one := range p.found {
		where := name
		if line := lineAt(&root, one.place); line > 0 {
			where = fmt.Sprintf("%s:%d", name, line)
		}
		if at := one.place.String(); at != "" {
			where += ": " + at
		}
		all = append(all, errors.New(where+": "+one.text))
	}
	return errors.Join(all...)
}

// lineAt walks as far as the document goes: a missing key is reported at its parent.
func lineAt(node *yaml.Node, place Place) int {
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	line := node.Line
	for _, step := range place {
		for node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		next, at := child(node, step)
		if next == nil {
			return line
		}
		node, line = next, at
	}
	return line
}

func child(node *yaml.Node, step any) (next *yaml.Node, line int) {
	switch step := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step], node.Content[step].Line
		}
	case string:
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1], node.Content[i].Line
			}
		}
	}
	return nil, 0
}
