package eval

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the truth file says of the captures that people labelled, as the key
// understands it: hosts, root and the number of visible steps of each campaign.
func TestReadingTheCapturesTruth(t *testing.T) {
	dir := os.Getenv("CATENA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	src, err := os.ReadFile(filepath.Join(dir, "truth", "otrf_compound.json"))
	if err != nil {
		t.Skipf("the captures' truth is absent: %v", err)
	}
	k, err := ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range k.Campaigns {
		got[c.ID] = fmt.Sprintf("%s | %s | %s | %s | %d of %d", strings.Join(c.Hosts, " "), strings.Join(c.Root.Hosts, " "), strings.Join(c.Root.Users, " "), strings.Join(c.Root.Processes, " "), visible(c.Steps), len(c.Steps))
		t.Logf("%s: %s; users %v, benign %v, attacker %v, programs %v, %s to %s", c.ID, got[c.ID], c.Users, c.Benign, c.IPs, c.Processes, c.From, c.To)
		for _, s := range c.Steps {
			t.Logf("  %2d %v %v %v %q all=%v", s.N, s.Visible, s.Technique, s.Hosts, s.Terms, s.All)
		}
	}
	for id, want := range map[string]string{
		"LSASS_campaign_01":             "mkt01 | mkt01 | pedro.gustavo | winx64_payload.exe | 13 of 13",
		"LSASS_campaign_02":             "acct01 | acct01 | nora.quemona | happy_image.jpeg.exe winx64_payload.exe | 12 of 13",
		"LSASS_campaign_04":             "it01 | it01 | pedro.gustavo | winx64_payload.exe | 9 of 10",
		"purplesharp_ad_playbook_I":     "workstation5 mordordc workstation6 workstation7 wec | workstation5 | pgustavo | purplesharp.exe | 4 of 4",
		"aws_ec2_proxy_s3_exfiltration": " |  | mordornginxstack-bankingwafrole-9s3e0uae1mm0 i-0317f6c6b66ae9c40 |  | 4 of 4",
		"GoldenSAMLADFSMailAccess":      "adfs01 dc01 | adfs01 | wardog |  | 8 of 9",
		"Log4Shell_linux":               "ubuntu5 | ubuntu5 | tomcat |  | 5 of 5",
	} {
		if got[id] != want {
			t.Errorf("%s:\ngot  %s\nwant %s", id, got[id], want)
		}
	}
	for _, c := range k.Campaigns {
		for _, s := range c.Steps {
			if s.Visible && s.Time.IsZero() {
				t.Errorf("%s step %d is visible at no time", c.ID, s.N)
			}
		}
		if c.ID == "aws_ec2_proxy_s3_exfiltration" && (len(c.IPs) != 0 || !strings.Contains(strings.Join(c.Benign, " "), "pedro")) {
			t.Errorf("the address that the administrator shares is used as proof: %v, benign %v", c.IPs, c.Benign)
		}
	}
}
