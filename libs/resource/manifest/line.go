package manifest

import (
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
)

// maxDepth bounds walks of the tree; schemas are far shallower.
const maxDepth = 64

// lineOf returns the line of a field, or of the deepest part of its path that exists.
func lineOf(root *yamlnode.Node, path string, otherwise int) int {
	line, node := otherwise, root
	for _, step := range steps(path) {
		if node != nil && node.Kind == yamlnode.AliasNode {
			node = node.Alias
		}
		key, value := descend(node, step)
		if value == nil {
			return line
		}
		line, node = key.Line, value
	}
	return line
}

// descend returns the nodes of a step's key and value; for an item of a list both are the item.
func descend(node *yamlnode.Node, step string) (key, value *yamlnode.Node) {
	switch {
	case node == nil:
	case node.Kind == yamlnode.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	case node.Kind == yamlnode.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// steps cuts spec.rules[0].headers[x-a.b] into its parts.
func steps(path string) []string {
	var all []string
	for path != "" && len(all) < maxDepth {
		if path[0] == '[' {
			inside, rest, ok := strings.Cut(path[1:], "]")
			if !ok {
				return all
			}
			all, path = append(all, inside), strings.TrimPrefix(rest, ".")
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			return append(all, path)
		}
		all, path = append(all, path[:end]), strings.TrimPrefix(path[end:], ".")
	}
	return all
}

func child(node *yamlnode.Node, key string) *yamlnode.Node {
	if node == nil || node.Kind != yamlnode.MappingNode {
		return nil
	}
	_, value := descend(node, key)
	return value
}

func scalar(node *yamlnode.Node, key string) string {
	if value := child(node, key); value != nil && value.Kind == yamlnode.ScalarNode && value.Tag == "!!str" {
		return value.Value
	}
	return ""
}

// shift moves a tree's lines down, since each document is parsed on its own.
func shift(node *yamlnode.Node, by int) *yamlnode.Node {
	node.Line += by
	for _, c := range node.Content {
		shift(c, by)
	}
	return node
}
