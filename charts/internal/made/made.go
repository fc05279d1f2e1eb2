// Package made is what is made of the chart, as files by their path in the repository.
package made

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// All makes everything. What a later step reads of an earlier one it reads from the repository, so after a change of
// k8s/crds or stack/config it may take two runs until nothing moves; the chart's own test sees to that.
func All(root string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, step := range []func(string) (map[string][]byte, error){taken, schemaFile, kustomize} {
		files, err := step(root)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

// live is a document with a policy that has a file of its own in the chart, out of a file that begins with a boot object.
var live = regexp.MustCompile(`(?m)^kind: (SessionPolicy|StoragePolicy)$`)

// taken is what the chart ships that is kept elsewhere: CRDs, and the Routes and policies of the stack.
func taken(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	crds, err := filepath.Glob(filepath.Join(root, "k8s/crds/*.yaml"))
	if err != nil || len(crds) == 0 {
		return nil, fmt.Errorf("no CRDs (%w)", err)
	}
	for _, path := range crds {
		if files["charts/cloakroom/files/crds/"+filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"routes", "policies", "auth", "files"} {
		body, err := os.ReadFile(filepath.Join(root, "stack/config", name+".yaml"))
		if err != nil {
			return nil, err
		}
		text := string(body)
		if name == "auth" || name == "files" {
			for _, document := range strings.Split(text, "\n---\n") {
				if live.MatchString(document) {
					text = strings.TrimRight(document, "\n") + "\n"
				}
			}
		}
		files["charts/cloakroom/files/objects/"+name+".yaml"] = []byte(text)
	}
	return files, nil
}
