import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.Map;
import org.springframework.ai.document.MetadataMode;
import org.springframework.ai.openai.OpenAiEmbeddingModel;
import org.springframework.ai.openai.OpenAiEmbeddingOptions;
import org.springframework.ai.openai.api.OpenAiApi;

/** Spring AI 1.1 with Spring Boot 3.5's versions; its HTTP client offers an upgrade to HTTP/2. */
class SpringAi1 {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = Arrays.asList(mapper.readValue(System.in, String[].class));
    var api =
        OpenAiApi.builder().baseUrl(System.getenv("REJOINDER_URL")).apiKey("any").build();
    var options = OpenAiEmbeddingOptions.builder().model(System.getenv("REJOINDER_MODEL")).build();
    var model = new OpenAiEmbeddingModel(api, MetadataMode.EMBED, options);
    System.out.println(mapper.writeValueAsString(Map.of("embed", model.embed(texts))));
  }
}
