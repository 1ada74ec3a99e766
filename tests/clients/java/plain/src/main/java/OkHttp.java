import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;

/** okhttp; it asks for compressed answers by itself. */
class OkHttp {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = mapper.readValue(System.in, String[].class);
    var model = System.getenv("REJOINDER_MODEL");
    var url = System.getenv("REJOINDER_URL") + "/v1/models/" + model + ":predict";
    var json = mapper.writeValueAsString(Map.of("instances", texts));
    var body = RequestBody.create(json, MediaType.get("application/json"));
    var client = new OkHttpClient();
    try (var answer = client.newCall(new Request.Builder().url(url).post(body).build()).execute()) {
      var vectors = Predictions.vectors(mapper, answer.body().string());
      System.out.println(mapper.writeValueAsString(Map.of("predict", vectors)));
    }
    client.dispatcher().executorService().shutdown();
    client.connectionPool().evictAll();
  }
}
