#include "unit.h"

#include "crypto/blake3.h"
#include "hex.h"

#define CONTEXT "BLAKE3 2019-12-27 16:29:52 test vectors context"

static const uint8_t key[] = "whats the Elvish word for friend";

/* The published vectors (the paper's repository, test_vectors.json): input is 0..250 repeated, of
 * each output the first 32 bytes. */
static const struct {
	size_t len;
	const char *hash, *keyed, *derived;
} cases[] = {
	{0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
	 "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
	 "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d"},
	{1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
	 "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b",
	 "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c"},
	{2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63",
	 "5392ddae0e0a69d5f40160462cbd9bd889375082ff224ac9c758802b7a6fd20a",
	 "1f166565a7df0098ee65922d7fea425fb18b9943f19d6161e2d17939356168e6"},
	{63, "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
	 "bb1eb5d4afa793c1ebdd9fb08def6c36d10096986ae0cfe148cd101170ce37ae",
	 "b6451e30b953c206e34644c6803724e9d2725e0893039cfc49584f991f451af3"},
	{64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
	 "ba8ced36f327700d213f120b1a207a3b8c04330528586f414d09f2f7d9ccb7e6",
	 "a5c4a7053fa86b64746d4bb688d06ad1f02a18fce9afd3e818fefaa7126bf73e"},
	{65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
	 "c0a4edefa2d2accb9277c371ac12fcdbb52988a86edc54f0716e1591b4326e72",
	 "51fd05c3c1cfbc8ed67d139ad76f5cf8236cd2acd26627a30c104dfd9d3ff8a8"},
	{127, "d81293fda863f008c09e92fc382a81f5a0b4a1251cba1634016a0f86a6bd640d",
	 "c64200ae7dfaf35577ac5a9521c47863fb71514a3bcad18819218b818de85818",
	 "c91c090ceee3a3ac81902da31838012625bbcd73fcb92e7d7e56f78deba4f0c3"},
	{128, "f17e570564b26578c33bb7f44643f539624b05df1a76c81f30acd548c44b45ef",
	 "b04fe15577457267ff3b6f3c947d93be581e7e3a4b018679125eaf86f6a628ec",
	 "81720f34452f58a0120a58b6b4608384b5c51d11f39ce97161a0c0e442ca0225"},
	{129, "683aaae9f3c5ba37eaaf072aed0f9e30bac0865137bae68b1fde4ca2aebdcb12",
	 "d4a64dae6cdccbac1e5287f54f17c5f985105457c1a2ec1878ebd4b57e20d38f",
	 "938d2d4435be30eafdbb2b7031f7857c98b04881227391dc40db3c7b21f41fc1"},
	{1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
	 "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e",
	 "74a16c1c3d44368a86e1ca6df64be6a2f64cce8f09220787450722d85725dea5"},
	{1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
	 "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
	 "7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706"},
	{1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
	 "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
	 "effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb"},
	{2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
	 "879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1",
	 "7b2945cb4fef70885cc5d78a87bf6f6207dd901ff239201351ffac04e1088a23"},
	{2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
	 "9f29700902f7c86e514ddc4df1e3049f258b2472b6dd5267f61bf13983b78dd5",
	 "2ea477c5515cc3dd606512ee72bb3e0e758cfae7232826f35fb98ca1bcbdf273"},
	{3072, "b98cb0ff3623be03326b373de6b9095218513e64f1ee2edd2525c7ad1e5cffd2",
	 "044a0e7b172a312dc02a4c9a818c036ffa2776368d7f528268d2e6b5df191770",
	 "050df97f8c2ead654d9bb3ab8c9178edcd902a32f8495949feadcc1e0480c46b"},
	{3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
	 "68dede9bef00ba89e43f31a6825f4cf433389fedae75c04ee9f0cf16a427c95a",
	 "72613c9ec9ff7e40f8f5c173784c532ad852e827dba2bf85b2ab4b76f7079081"},
	{4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995",
	 "00df940cd36bb9fa7cbbc3556744e0dbc8191401afe70520ba292ee3ca80abbc",
	 "aca51029626b55fda7117b42a7c211f8c6e9ba4fe5b7a8ca922f34299500ead8"},
	{5121, "628bd2cb2004694adaab7bbd778a25df25c47b9d4155a55f8fbd79f2fe154cff",
	 "6ccf1c34753e7a044db80798ecd0782a8f76f33563accaddbfbb2e0ea4b2d024",
	 "b07f01e518e702f7ccb44a267e9e112d403a7b3f4883a47ffbed4b48339b3c34"},
	{6145, "f1323a8631446cc50536a9f705ee5cb619424d46887f3c376c695b70e0f0507f",
	 "9ac301e9e39e45e3250a7e3b3df701aa0fb6889fbd80eeecf28dbc6300fbc539",
	 "379bcc61d0051dd489f686c13de00d5b14c505245103dc040d9e4dd1facab8e5"},
	{7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817",
	 "ed9b1a922c046fdb3d423ae34e143b05ca1bf28b710432857bf738bcedbfa511",
	 "554b0a5efea9ef183f2f9b931b7497995d9eb26f5c5c6dad2b97d62fc5ac31d9"},
	{8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
	 "954a2a75420c8d6547e3ba5b98d963e6fa6491addc8c023189cc519821b4a1f5",
	 "af1e0346e389b17c23200270a64aa4e1ead98c61695d917de7d5b00491c9b0f1"},
	{16384, "f875d6646de28985646f34ee13be9a576fd515f76b5b0a26bb324735041ddde4",
	 "9e9fc4eb7cf081ea7c47d1807790ed211bfec56aa25bb7037784c13c4b707b0d",
	 "160e18b5878cd0df1c3af85eb25a0db5344d43a6fbd7a8ef4ed98d0714c3f7e1"},
	{31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
	 "efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419",
	 "39772aef80e0ebe60596361e45b061e8f417429d529171b6764468c22928e28e"},
	{102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	 "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7",
	 "4652cff7a3f385a6103b5c260fc1593e13c778dbe608efb092fe7ee69df6e9c6"},
};

/* Length 1025, all 131 bytes that are published. */
static const char long_hash[] = "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"
				"f4c4a22b4b399155358a994e52bf255de60035742ec71bd08ac275a1b51cc6bf"
				"e332b0ef84b409108cda080e6269ed4b3e2c3f7d722aa4cdc98d16deb554e562"
				"7be8f955c98e1d5f9565a9194cad0c4285f93700062d9595adb992ae68ff1280"
				"0ab67a";
static const char long_derived[] =
	"effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb"
	"5d31013a167509e9066273ab6e2123bc835b408b067d88f96addb550d96b6852"
	"dad38e320b9d940f86db74d398c770f462118b35d2724efa13da97194491d96d"
	"d37c3c09cbef665953f2ee85ec83d88b88d11547a6f911c8217cca46defa2751"
	"e7f3ad";

static uint8_t input[102400];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)(i % 251);
}

static void every_mode_yields_the_published_vectors(void **state)
{
	struct blake3_context c;
	uint8_t out[BLAKE3_LEN];

	fill();
	blake3_context_set(&c, CONTEXT);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		blake3(input, cases[i].len, out, sizeof(out));
		assert_hex(out, sizeof(out), cases[i].hash);
		blake3_keyed(key, input, cases[i].len, out, sizeof(out));
		assert_hex(out, sizeof(out), cases[i].keyed);
		blake3_derive(&c, input, cases[i].len, out, sizeof(out));
		assert_hex(out, sizeof(out), cases[i].derived);
	}
}

static void longer_output_goes_on_where_the_digest_ends(void **state)
{
	struct blake3_context c;
	uint8_t out[131];

	fill();
	blake3(input, 1025, out, sizeof(out));
	assert_hex(out, sizeof(out), long_hash);
	blake3_context_set(&c, CONTEXT);
	blake3_derive(&c, input, 1025, out, sizeof(out));
	assert_hex(out, sizeof(out), long_derived);
}

static void any_length_of_output_is_a_prefix_of_the_longest(void **state)
{
	uint8_t all[200], out[200];

	blake3("abc", 3, all, sizeof(all));
	for (size_t n = 0; n <= sizeof(out); n++) {
		memset(out, 0xee, sizeof(out));
		blake3("abc", 3, out, n);
		assert_memory_equal(out, all, n);
		if (n < sizeof(out))
			assert_int_equal(out[n], 0xee);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_yields_the_published_vectors),
		cmocka_unit_test(longer_output_goes_on_where_the_digest_ends),
		cmocka_unit_test(any_length_of_output_is_a_prefix_of_the_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
