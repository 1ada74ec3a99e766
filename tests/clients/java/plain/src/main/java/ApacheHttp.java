import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Map;
import org.apache.hc.client5.http.classic.methods.HttpPost;
import org.apache.hc.client5.http.entity.GzipCompressingEntity;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.HttpEntity;
import org.apache.hc.core5.http.io.entity.EntityUtils;
import org.apache.hc.core5.http.io.entity.StringEntity;

/** Apache HttpClient 5, which offers an upgrade to TLS, with a plain and a compressed body. */
class ApacheHttp {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = mapper.readValue(System.in, String[].class);
    var json = mapper.writeValueAsString(Map.of("instances", texts));
    var entity = new StringEntity(json, ContentType.APPLICATION_JSON);
    try (var client = HttpClients.createDefault()) {
      var plain = Predictions.vectors(mapper, post(client, entity));
      var gzip = Predictions.vectors(mapper, post(client, new GzipCompressingEntity(entity)));
      System.out.println(mapper.writeValueAsString(Map.of("plain", plain, "gzip", gzip)));
    }
  }

  private static String post(CloseableHttpClient client, HttpEntity entity) throws Exception {
    var model = System.getenv("REJOINDER_MODEL");
    var post = new HttpPost(System.getenv("REJOINDER_URL") + "/v1/models/" + model + ":predict");
    post.setEntity(entity);
    return client.execute(post, answer -> EntityUtils.toString(answer.getEntity()));
  }
}
