package web_test

import (
	"net/http"
	"testing"

	"cloakroom.dev/libs/web"
)

func TestCheckOrigin(t *testing.T) {
	trusted := func(origin string) bool { return origin == "https://app.example" }
	for _, c := range []struct {
		name    string
		header  http.Header
		refused bool
	}{
		{"a page of ours", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://us.example"}}, false},
		{"a page of ours behind a proxy that changes the host", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://other.example"}}, false},
		{"a page of ours, by an older browser", http.Header{"Origin": {"https://us.example"}}, false},
		{"a person, and no page", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"a trusted page", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://app.example"}}, false},
		{"a trusted page, by an older browser", http.Header{"Origin": {"https://app.example"}}, false},
		{"another site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, true},
		{"another site that names nobody", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"another host of our site", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://blog.us.example"}}, true},
		{"another site, by an older browser", http.Header{"Origin": {"https://evil.example"}}, true},
		{"another port", http.Header{"Origin": {"https://us.example:8443"}}, true},
		{"a longer name", http.Header{"Origin": {"https://us.example.evil"}}, true},
		{"the null origin", http.Header{"Origin": {"null"}}, true},
		{"a word nobody knows", http.Header{"Sec-Fetch-Site": {"friendly"}}, true},
		{"two origins", http.Header{"Origin": {"https://us.example", "https://evil.example"}}, true},
		{"two sites", http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, true},
		{"no word of its origin", http.Header{}, true},
		{"empty words", http.Header{"Origin": {""}, "Sec-Fetch-Site": {""}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := web.CheckOrigin(c.header, "us.example", trusted); (err != nil) != c.refused {
				t.Errorf("%v, refused should be %v", err, c.refused)
			}
		})
	}
}
