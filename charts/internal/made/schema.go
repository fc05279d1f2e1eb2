package made

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const chart = "charts/cloakroom/"

type schema map[string]any

func schemaFile(root string) (map[string][]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	s, err := Schema(text)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{chart + "values.schema.json": s}, nil
}

// Schema makes the schema of values out of their defaults and the marks in their comments. Every object is closed unless it
// is marked @free or, with fields of its own that are known, @open.
func Schema(values []byte) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return nil, err
	}
	s, err := object(document.Content[0])
	if err != nil {
		return nil, err
	}
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Values of the chart cloakroom"
	body, err := json.MarshalIndent(s, "", "  ")
	return append(body, '\n'), err
}

func object(node *yaml.Node) (schema, error) {
	fields := schema{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		s, err := field(key.HeadComment, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key.Value, err)
		}
		fields[key.Value] = s
	}
	return schema{"type": "object", "additionalProperties": false, "properties": fields}, nil
}

// field is the schema of one value: what its marks say, or else what its default looks like.
func field(comment string, value *yaml.Node) (schema, error) {
	words, marks := read(comment)
	var s schema
	_, free := marks["free"]
	switch value.Kind {
	case yaml.MappingNode:
		if free {
			s = schema{"type": "object"}
			break
		}
		var err error
		if s, err = object(value); err != nil {
			return nil, err
		}
		if _, open := marks["open"]; open {
			delete(s, "additionalProperties")
		}
	case yaml.SequenceNode:
		s = schema{"type": "array"}
		if of, ok := marks["items"]; ok {
			s["items"] = schema{"type": of}
		} else if !free {
			return nil, fmt.Errorf("a list wants a mark: @items TYPE or @free")
		}
	case yaml.ScalarNode:
		types := map[string]string{"!!str": "string", "!!int": "integer", "!!float": "number", "!!bool": "boolean"}
		s = schema{"type": types[value.Tag]}
		switch {
		case value.Tag == "!!int", value.Tag == "!!float":
			s["minimum"] = 0
		case s["type"] == "":
			return nil, fmt.Errorf("a default of %s says nothing about the type", value.Tag)
		}
	default:
		return nil, fmt.Errorf("a value of a kind that isn't known")
	}
	if list, ok := marks["enum"]; ok {
		s["enum"] = choices(list, s["type"] == "string")
	}
	if text, ok := marks["pattern"]; ok {
		s["pattern"] = text
	}
	if text, ok := marks["below"]; ok {
		s["exclusiveMinimum"], s["exclusiveMaximum"] = 0, json.Number(text)
	}
	if list, ok := marks["type"]; ok {
		if s["type"] = list; strings.Contains(list, ",") {
			s["type"] = strings.Split(list, ",")
		}
	}
	if words != "" {
		s["description"] = words
	}
	return s, nil
}

// choices are words, or numbers where the default is one.
func choices(list string, words bool) (all []any) {
	for _, one := range strings.Fields(list) {
		if words {
			all = append(all, one)
		} else {
			all = append(all, json.Number(one))
		}
	}
	return all
}

// read parts a comment into its words and its marks.
func read(comment string) (words string, marks map[string]string) {
	marks = map[string]string{}
	var all []string
	paragraphs := strings.Split(comment, "\n\n")
	for _, line := range strings.Split(paragraphs[len(paragraphs)-1], "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		if mark, ok := strings.CutPrefix(line, "@"); ok {
			name, value, _ := strings.Cut(mark, " ")
			marks[name] = value
		} else if line != "" {
			all = append(all, line)
		}
	}
	return strings.Join(all, " "), marks
}
