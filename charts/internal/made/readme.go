package made

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const readmeHead = `# Cloakroom

Installing, upgrading, backing up: docs/guides/kubernetes.md. This table is made of values.yaml by ` + "`make generate`" + `; the schema, which is made of
it too, refuses what is not in it.

| Value | Default | |
|---|---|---|
`

// readme is the reference of the values, beside the schema.
func readme(root string) (map[string][]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	var out strings.Builder
	out.WriteString(readmeHead)
	if err := rows(&out, "", document.Content[0]); err != nil {
		return nil, err
	}
	return map[string][]byte{chart + "README.md": []byte(out.String())}, nil
}

// rows has a row for each value that can be set by itself; a group with words of its own has one too.
func rows(out *strings.Builder, prefix string, node *yaml.Node) error {
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		words, marks := read(key.HeadComment)
		if list, ok := marks["enum"]; ok {
			words = strings.TrimSpace(words + " One of " + strings.ReplaceAll(list, " ", ", ") + ".")
		}
		words = strings.ReplaceAll(words, "|", "\\|")
		_, free := marks["free"]
		if value.Kind == yaml.MappingNode && !free {
			if words != "" {
				fmt.Fprintf(out, "| **`%s%s`** | | %s |\n", prefix, key.Value, words)
			}
			if err := rows(out, prefix+key.Value+".", value); err != nil {
				return err
			}
			continue
		}
		initial, err := inline(value)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| `%s%s` | `%s` | %s |\n", prefix, key.Value, initial, words)
	}
	return nil
}

// inline is a default on one line.
func inline(value *yaml.Node) (string, error) {
	plain := flowing(value)
	text, err := yaml.Marshal(plain)
	return strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(string(text), "\n", " ")), "|", "\\|"), err
}

// flowing is a copy without comments, in braces and brackets all the way down.
func flowing(node *yaml.Node) *yaml.Node {
	plain := &yaml.Node{Kind: node.Kind, Tag: node.Tag, Value: node.Value}
	plain.Style = yaml.FlowStyle
	if node.Kind == yaml.ScalarNode {
		plain.Style = node.Style
	}
	for _, child := range node.Content {
		plain.Content = append(plain.Content, flowing(child))
	}
	return plain
}
