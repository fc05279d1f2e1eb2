package made

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dialects are the contracts of other systems whose resources the stack has.
var Dialects = []string{"medods", "rest-auth-files", "siteworks", "trackit", "user-management"}

const dialectHead = `# SessionPolicy, limits and Routes for clients of %[1]s. Made of stack/config/%[1]s.yaml by ` + "`make generate`" + `.
# Copy it, put your own hosts in the place of example.org, and turn the dialect on: docs/guides/dialects.md.
`

// dialects makes a sample of each dialect's resources for a cluster: the stack's, with hosts that are to be replaced.
func dialects(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range Dialects {
		body, err := os.ReadFile(filepath.Join(root, "stack/config", name+".yaml"))
		if err != nil {
			return nil, err
		}
		_, text, found := strings.Cut(string(body), "\napiVersion: ")
		if !found || strings.Count(text, name+".localhost") != 1 {
			return nil, fmt.Errorf("stack/config/%s.yaml: no first object, or not one host", name)
		}
		text = strings.NewReplacer(name+".localhost", name+".example.org", "http://localhost:3000", "https://app.example.org",
			"metadata:\n", "metadata:\n  namespace: cloakroom\n").Replace(text)
		files["k8s/samples/dialects/"+name+".yaml"] = []byte(fmt.Sprintf(dialectHead, name) + "apiVersion: " + text)
	}
	return files, nil
}
