import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.Map;
import org.springframework.ai.openai.OpenAiEmbeddingModel;
import org.springframework.ai.openai.OpenAiEmbeddingOptions;

/** Spring AI 2.0 with Spring Boot 4's versions; it uses OpenAI's own client. */
class SpringAi2 {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = Arrays.asList(mapper.readValue(System.in, String[].class));
    var options = new OpenAiEmbeddingOptions.Builder();
    options.baseUrl(System.getenv("REJOINDER_URL") + "/v1");
    options.apiKey("any");
    options.model(System.getenv("REJOINDER_MODEL"));
    var model = OpenAiEmbeddingModel.builder().options(options.build()).build();
    System.out.println(mapper.writeValueAsString(Map.of("embed", model.embed(texts))));
    System.exit(0); // the client's threads would keep the process
  }
}
